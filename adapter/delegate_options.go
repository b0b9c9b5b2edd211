package adapter

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"
)

// DelegateOptions is which other server of external metrics answers for those that are not KSMScale's.
type DelegateOptions struct {
	// Address is <namespace>/<service>:<port> or https://<host>:<port>; empty if there is no such server.
	Address string
	// CAFile has the authorities of that server's certificate. It is read again when it changes.
	CAFile string
	// ServerName is the name in that certificate; empty for the one that the server is reached by.
	ServerName string
}

// AddFlags adds a flag for each option.
func (o *DelegateOptions) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.Address, "delegate", o.Address,
		"Another server of external metrics, which answers for all that do not begin with ksmscale_: <namespace>/<service>:<port>, or https://<host>:<port>. It is asked in the name of the adapter's own account, after the rights of the caller have been checked here.")
	flags.StringVar(&o.CAFile, "delegate-ca-file", o.CAFile,
		"File with the certificate authorities that the certificate of --delegate is verified with. It is read again when it changes.")
	flags.StringVar(&o.ServerName, "delegate-server-name", o.ServerName,
		"Name that the certificate of --delegate is for; by default <service>.<namespace>.svc, or the host of its URL.")
}

// Validate returns what is wrong with the options, naming the flags.
func (o *DelegateOptions) Validate() error {
	if o.Address == "" {
		if o.CAFile != "" || o.ServerName != "" {
			return errors.New("--delegate-ca-file and --delegate-server-name are for the server that --delegate names: set it too, or leave them out")
		}
		return nil
	}
	_, err := o.url()
	if o.CAFile == "" {
		err = errors.Join(err, errors.New("--delegate needs --delegate-ca-file, a file with the certificate authorities of that server: it is not trusted without"))
	}
	return err
}

// url is where the server is reached.
func (o *DelegateOptions) url() (*url.URL, error) {
	if strings.Contains(o.Address, "://") {
		return o.parseURL()
	}
	namespace, rest, _ := strings.Cut(o.Address, "/")
	service, port, _ := strings.Cut(rest, ":")
	if len(validation.IsDNS1123Label(namespace)) > 0 || len(validation.IsDNS1123Label(service)) > 0 || !validPort(port) {
		return nil, o.invalid("it is neither a Service nor a URL")
	}
	return &url.URL{Scheme: "https", Host: net.JoinHostPort(service+"."+namespace+".svc", port)}, nil
}

func (o *DelegateOptions) parseURL() (*url.URL, error) {
	parsed, err := url.Parse(o.Address)
	if err != nil {
		return nil, o.invalid(err.Error())
	}
	if parsed.Scheme != "https" {
		return nil, o.invalid("the adapter's token is sent there, so that only https will do")
	}
	if parsed.Hostname() == "" || parsed.Port() != "" && !validPort(parsed.Port()) {
		return nil, o.invalid("it has no host, or no such port exists")
	}
	if *parsed != (url.URL{Scheme: parsed.Scheme, Host: parsed.Host}) {
		return nil, o.invalid("it has more than a host and a port")
	}
	return parsed, nil
}

func (o *DelegateOptions) invalid(why string) error {
	return fmt.Errorf("--delegate=%s: %s; write <namespace>/<service>:<port>, such as keda/keda-operator-metrics-apiserver:443, or https://<host>:<port>", o.Address, why)
}

func validPort(port string) bool {
	number, err := strconv.Atoi(port)
	return err == nil && len(validation.IsValidPortNum(number)) == 0
}
