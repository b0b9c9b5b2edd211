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

// DelegateOptions configures another server of external metrics, which serves all metrics except KSMScale's.
type DelegateOptions struct {
	// Address is <namespace>/<service>:<port> or https://<host>:<port>; empty without such a server.
	Address string
	// CAFile has the CAs of that server's certificate. The adapter reads it again when it changes.
	CAFile string
	// ServerName is the name in that certificate; empty for the host of Address.
	ServerName string
}

// AddFlags adds a flag for each option.
func (o *DelegateOptions) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.Address, "delegate", o.Address,
		"Another server of external metrics, for all metrics that do not start with ksmscale_, as <namespace>/<service>:<port> or https://<host>:<port>. The adapter checks the rights of the caller, and then sends the request with its own account.")
	flags.StringVar(&o.CAFile, "delegate-ca-file", o.CAFile,
		"File with the CAs that verify the certificate of --delegate. The adapter reads it again when it changes.")
	flags.StringVar(&o.ServerName, "delegate-server-name", o.ServerName,
		"Name in the certificate of --delegate; by default <service>.<namespace>.svc, or the host of its URL.")
}

// Validate returns the errors in the options, with the names of the flags.
func (o *DelegateOptions) Validate() error {
	if o.Address == "" {
		if o.CAFile != "" || o.ServerName != "" {
			return errors.New("--delegate-ca-file and --delegate-server-name need --delegate: set it too, or leave them out")
		}
		return nil
	}
	_, err := o.url()
	if o.CAFile == "" {
		err = errors.Join(err, errors.New("--delegate needs --delegate-ca-file, a file with the CAs of that server: without it, the adapter does not trust the server"))
	}
	return err
}

// url is the URL of the server.
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
	address, err := url.Parse(o.Address)
	if err != nil {
		return nil, o.invalid(err.Error())
	}
	if address.Scheme != "https" {
		return nil, o.invalid("it must be https, because the adapter sends its token there")
	}
	if address.Hostname() == "" || address.Port() != "" && !validPort(address.Port()) {
		return nil, o.invalid("it has no host, or its port is invalid")
	}
	if *address != (url.URL{Scheme: address.Scheme, Host: address.Host}) {
		return nil, o.invalid("it has more than a host and a port")
	}
	return address, nil
}

func (o *DelegateOptions) invalid(why string) error {
	return fmt.Errorf("--delegate=%s: %s; write <namespace>/<service>:<port>, such as keda/keda-operator-metrics-apiserver:443, or https://<host>:<port>", o.Address, why)
}

func validPort(port string) bool {
	number, err := strconv.Atoi(port)
	return err == nil && len(validation.IsValidPortNum(number)) == 0
}
