package plugin

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/config/crd"
)

// readFile returns the KSMScale of a file, or of standard input for "-", with the defaults of the API server. It returns the errors that
// the API server would return.
func (o *options) readFile(name string) (*v1alpha1.KSMScale, error) {
	from := o.In
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		from = file
	}
	text, err := io.ReadAll(from)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	document, err := onlyKSMScale(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	ksmScale, err := decode(document)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return ksmScale, nil
}

// onlyKSMScale returns the document of a file that is a KSMScale.
func onlyKSMScale(text []byte) ([]byte, error) {
	var only []byte
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		var kind struct {
			Kind string `json:"kind"`
		}
		if err := yaml.Unmarshal(document, &kind); err != nil {
			return nil, err
		}
		if kind.Kind != "KSMScale" {
			continue
		}
		if only != nil {
			return nil, errors.New("the file has several KSMScales: write each into a file of its own")
		}
		only = document
	}
	if only == nil {
		return nil, errors.New("the file has no KSMScale: it needs a document with kind: KSMScale")
	}
	return only, nil
}

// decode decodes, defaults and validates a KSMScale as the API server does.
func decode(document []byte) (*v1alpha1.KSMScale, error) {
	if err := yaml.UnmarshalStrict(document, &v1alpha1.KSMScale{}); err != nil {
		return nil, err
	}
	object := map[string]any{}
	if err := yaml.Unmarshal(document, &object); err != nil {
		return nil, err
	}
	encoded, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	return admit(encoded)
}

// admit defaults and validates a KSMScale in JSON.
func admit(encoded []byte) (*v1alpha1.KSMScale, error) {
	schema, err := crd.NewSchema()
	if err != nil {
		return nil, err
	}
	var object map[string]any
	if err := json.Unmarshal(encoded, &object); err != nil {
		return nil, err
	}
	wholeNumbers(object)
	if refused := schema.Admit(object); len(refused) > 0 {
		return nil, refused.ToAggregate()
	}
	if encoded, err = json.Marshal(object); err != nil {
		return nil, err
	}
	ksmScale := &v1alpha1.KSMScale{}
	return ksmScale, json.Unmarshal(encoded, ksmScale)
}

// wholeNumbers converts the whole numbers of decoded JSON to integers, as the API server has them.
func wholeNumbers(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for key := range value {
			value[key] = wholeNumbers(value[key])
		}
	case []any:
		for i := range value {
			value[i] = wholeNumbers(value[i])
		}
	case float64:
		if value == float64(int64(value)) {
			return int64(value)
		}
	}
	return value
}
