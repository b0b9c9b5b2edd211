package specs

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/config/crd"
)

// maxLength is the length in characters of the longest drawn string.
const maxLength = 5000

// Draw turns bytes into a KSMScale in a namespace, which the CustomResourceDefinition accepts. Whatever it refuses is removed from the
// first draw.
func Draw(schema *crd.Schema, data []byte, namespace string) (*v1alpha1.KSMScale, error) {
	d := &drawing{data: data}
	spec, _ := d.value(schema.Structural.Properties["spec"], "").(map[string]any)
	drawn := map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": "KSMScale",
		"metadata": map[string]any{"name": pick(d, names), "uid": "00000000-0000-0000-0000-000000000000"}, "spec": spec,
	}
	for {
		spec["namespace"] = namespace
		object := runtime.DeepCopyJSON(drawn)
		refused := schema.Admit(object)
		if len(refused) == 0 {
			return decode(object)
		}
		if len(spec) == 1 {
			// Nothing is left but the name.
			_ = unstructured.SetNestedField(drawn, "main", "metadata", "name")
		}
		for _, refusal := range refused {
			if !remove(drawn, refusal.Field) {
				// A rule about several fields does not tell which one to remove, and a field may be wrong by its default.
				delete(spec, d.pickKey(spec))
			}
		}
	}
}

func decode(object map[string]any) (*v1alpha1.KSMScale, error) {
	text, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	ksmScale := &v1alpha1.KSMScale{}
	if err := json.Unmarshal(text, ksmScale); err != nil {
		return nil, fmt.Errorf("the CustomResourceDefinition accepts %s, which is no KSMScale: %w", text, err)
	}
	return ksmScale, nil
}

// segment is a step of the path of a field: a name, an index or the key of a map.
var segment = regexp.MustCompile(`[^.\[\]]+|\[[^\]]*\]`)

// remove removes the field of a path below spec, or the nearest field around it that exists. It returns false if that is spec itself.
func remove(object map[string]any, path string) bool {
	steps := segment.FindAllString(path, -1)
	if len(steps) < 2 || steps[0] != "spec" {
		return false
	}
	holder, removed := object["spec"], false
	drop := func() {}
	for _, step := range steps[1:] {
		name := strings.Trim(step, "[]")
		switch inside := holder.(type) {
		case []any:
			index, err := strconv.Atoi(name)
			if err != nil || index >= len(inside) {
				drop()
				return removed
			}
			holder = inside[index]
		case map[string]any:
			field, exists := inside[name]
			if !exists {
				drop()
				return removed
			}
			holder, removed, drop = field, true, func() { delete(inside, name) }
		}
	}
	drop()
	return removed
}

// drawing draws values from bytes; after their end, all choices are the first one, so nothing more is added.
type drawing struct{ data []byte }

// below returns a number from 0 to n-1.
func (d *drawing) below(n int) int {
	if len(d.data) == 0 || n <= 1 {
		return 0
	}
	number := int(d.data[0])
	d.data = d.data[1:]
	if n > math.MaxUint8 && len(d.data) > 0 {
		number, d.data = number<<8+int(d.data[0]), d.data[1:]
	}
	return number % n
}

func pick[T any](d *drawing, from []T) T { return from[d.below(len(from))] }

func (d *drawing) pickKey(fields map[string]any) string {
	keys := slices.DeleteFunc(slices.Sorted(maps.Keys(fields)), func(key string) bool { return key == "namespace" })
	if len(keys) == 0 {
		return ""
	}
	return pick(d, keys)
}

// value draws a value of a schema, for a field of the given name.
func (d *drawing) value(of schema.Structural, name string) any {
	if of.ValueValidation != nil && len(of.ValueValidation.Enum) > 0 {
		return pick(d, of.ValueValidation.Enum).Object
	}
	switch {
	case of.XIntOrString:
		return pick(d, quantities)
	case of.Type == "object":
		return d.object(of, name)
	case of.Type == "array":
		items := []any{}
		for range d.count(of.ValueValidation != nil && of.ValueValidation.MinItems != nil) {
			items = append(items, d.value(*of.Items, name))
		}
		return items
	case of.Type == "boolean":
		return d.below(2) == 1
	case of.Type == "integer":
		return d.integer(of.ValueValidation)
	}
	return d.text(name)
}

// count is the number of items of a list or a map.
func (d *drawing) count(atLeastOne bool) int {
	if atLeastOne {
		return 1 + d.below(3)
	}
	return d.below(4)
}

func (d *drawing) object(of schema.Structural, name string) map[string]any {
	fields := map[string]any{}
	if of.AdditionalProperties != nil && of.AdditionalProperties.Structural != nil {
		for range d.count(false) {
			fields[d.text(name+" key")] = d.value(*of.AdditionalProperties.Structural, name)
		}
	}
	required := []string{}
	if of.ValueValidation != nil {
		required = of.ValueValidation.Required
	}
	for _, property := range slices.Sorted(maps.Keys(of.Properties)) {
		if slices.Contains(required, property) || d.below(3) == 1 {
			fields[property] = d.value(of.Properties[property], property)
		}
	}
	return fields
}

func (d *drawing) integer(limits *schema.ValueValidation) int64 {
	numbers := []int64{1, 2, 3, 0, 10, 60, 100, 65536, math.MaxInt32, -1}
	if limits != nil && limits.Minimum != nil {
		numbers = append(numbers, int64(*limits.Minimum), int64(*limits.Minimum)+1)
	}
	if limits != nil && limits.Maximum != nil {
		numbers = append(numbers, int64(*limits.Maximum), int64(*limits.Maximum)-1)
	}
	return pick(d, numbers)
}

// text draws a string: one that fits the field, one that fits some other field, or any characters.
func (d *drawing) text(name string) string {
	switch d.below(8) {
	default:
		if fitting := texts[name]; len(fitting) > 0 {
			return pick(d, fitting)
		}
		return pick(d, names)
	case 5:
		return pick(d, texts[pick(d, slices.Sorted(maps.Keys(texts)))])
	case 6:
		return strings.Repeat(pick(d, []string{"a", "é", "$", "-"}), d.below(maxLength))
	case 7:
		length := min(d.below(40), len(d.data))
		text := strings.ToValidUTF8(string(d.data[:length]), "\uFFFD")
		d.data = d.data[length:]
		return text
	}
}
