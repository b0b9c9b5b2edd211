package objects

import (
	"os"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
)

// extraArgsRefusal matches the messages of the rules that refuse a flag in spec.template.extraArgs, and a field that sets it.
var extraArgsRefusal = regexp.MustCompile(`^spec\.template\.extraArgs must not set (\S+)(?:,|:| or).*?(?:\bspec\.metrics\.(\w+).*)?$`)

// The flags that fields of spec.metrics set, and the flags that the rules of the CustomResourceDefinition refuse in
// spec.template.extraArgs, must be the same. A rule refuses its flag always, or only while the field is set.
func TestRulesRefuseTheFlagsOfFields(t *testing.T) {
	rules := readExtraArgsRules(t)
	triggered := sets.New[string]()
	for name, configs := range everyMetricsField(t) {
		for _, config := range configs {
			flags := flagsOf(config)
			require.NotEmpty(t, flags, "spec.metrics.%s sets a flag", name)
			for _, flag := range flags {
				refusals := rules.refusals(t, config, flag)
				refusals = slices.DeleteFunc(refusals, func(message string) bool {
					match := extraArgsRefusal.FindStringSubmatch(message)
					named, err := path.Match(match[1], flag)
					return err != nil || !named || match[2] != name
				})
				assert.NotEmpty(t, refusals, "spec.metrics.%s sets %s, and no rule refuses it", name, flag)
				triggered.Insert(refusals...)
				for _, message := range rules.refusals(t, v1alpha1.MetricsConfig{}, flag) {
					assert.NotContains(t, message, " is set:", "%s is refused without the field", flag)
				}
			}
		}
	}
	for _, message := range rules.messages {
		if extraArgsRefusal.FindStringSubmatch(message)[2] != "" {
			assert.Contains(t, triggered, message, "no field sets the flag of this rule")
		}
	}
}

// The rules also refuse the flags of every KSMScale, except the two whose value users may choose.
func TestRulesRefuseTheFlagsOfEveryShard(t *testing.T) {
	rules := readExtraArgsRules(t)
	for _, arg := range monitorFlags(fixtures.KSMScale(), fixtures.Shard(0)) {
		flag, _, _ := strings.Cut(arg, "=")
		refused := len(rules.refusals(t, v1alpha1.MetricsConfig{}, flag)) > 0
		assert.Equal(t, flag != resourcesFlag && flag != "--server-idle-timeout", refused, flag)
	}
}

// everyMetricsField returns, by the name of a field of spec.metrics, configurations with only that field.
func everyMetricsField(t *testing.T) map[string][]v1alpha1.MetricsConfig {
	t.Helper()
	list := []string{"a"}
	all := v1alpha1.MetricsConfig{
		Resources: list, MetricAllowlist: list, MetricDenylist: list, MetricOptInList: list, MetricLabelsAllowlist: list,
		MetricAnnotationsAllowlist: list, Namespaces: list, NamespacesDenylist: list, UseAPIServerCache: true, ObjectLimit: 1,
		AuthFilter: true, TLS: v1alpha1.TLSConfig{SecretName: "a"},
		CustomResourceState: &v1alpha1.CustomResourceState{Config: "a", Only: true},
	}
	configs := map[string][]v1alpha1.MetricsConfig{
		"customResourceState": {{CustomResourceState: &v1alpha1.CustomResourceState{ConfigMap: v1alpha1.ConfigMapKey{Name: "a", Key: "b"}}}},
	}
	for i := range reflect.TypeFor[v1alpha1.MetricsConfig]().NumField() {
		name, _, _ := strings.Cut(reflect.TypeFor[v1alpha1.MetricsConfig]().Field(i).Tag.Get("json"), ",")
		value := reflect.ValueOf(all).Field(i)
		require.False(t, value.IsZero(), "this test does not set spec.metrics.%s", name)
		var config v1alpha1.MetricsConfig
		reflect.ValueOf(&config).Elem().Field(i).Set(value)
		configs[name] = append(configs[name], config)
	}
	return configs
}

// flagsOf returns the flags that a configuration adds or changes.
func flagsOf(config v1alpha1.MetricsConfig) []string {
	without := monitorFlags(fixtures.KSMScale(), fixtures.Shard(0))
	var flags []string
	for _, arg := range monitorFlags(fixtures.KSMScale(func(k *v1alpha1.KSMScale) { k.Spec.Metrics = config }), fixtures.Shard(0)) {
		if flag, _, _ := strings.Cut(arg, "="); !slices.Contains(without, arg) {
			flags = append(flags, flag)
		}
	}
	return flags
}

// extraArgsRules are the rules of the CustomResourceDefinition about flags in spec.template.extraArgs.
type extraArgsRules struct {
	spec      *schema.Structural
	validator *cel.Validator
	messages  []string
}

func readExtraArgsRules(t *testing.T) extraArgsRules {
	t.Helper()
	text, err := os.ReadFile("../../config/crd/monitor.example.com_ksmscales.yaml")
	require.NoError(t, err)
	var crd apiextensionsv1.CustomResourceDefinition
	require.NoError(t, yaml.Unmarshal(text, &crd))
	var internal apiextensions.JSONSchemaProps
	require.NoError(t, apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(crd.Spec.Versions[0].Schema.OpenAPIV3Schema, &internal, nil))
	structural, err := schema.NewStructural(&internal)
	require.NoError(t, err)
	spec := structural.Properties["spec"]
	// To compile the rules takes most of the time, so the others are left out.
	spec.XValidations = slices.DeleteFunc(spec.XValidations, func(rule apiextensionsv1.ValidationRule) bool {
		return !extraArgsRefusal.MatchString(rule.Message)
	})
	template := spec.Properties["template"]
	template.XValidations, template.Properties = nil, map[string]schema.Structural{"extraArgs": template.Properties["extraArgs"]}
	spec.Properties = map[string]schema.Structural{"metrics": spec.Properties["metrics"], "template": template}
	rules := extraArgsRules{spec: &spec, validator: cel.NewValidator(&spec, false, celconfig.PerCallLimit)}
	for _, rule := range slices.Concat(spec.XValidations, template.Properties["extraArgs"].XValidations) {
		if extraArgsRefusal.MatchString(rule.Message) {
			rules.messages = append(rules.messages, rule.Message)
		}
	}
	require.NotEmpty(t, rules.messages)
	return rules
}

// refusals returns the messages of the rules that refuse a flag in spec.template.extraArgs.
func (r extraArgsRules) refusals(t *testing.T, config v1alpha1.MetricsConfig, flag string) []string {
	t.Helper()
	spec, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&v1alpha1.KSMScaleSpec{
		Metrics: config, Template: &v1alpha1.PodTemplate{ExtraArgs: []string{flag + "=a"}},
	})
	require.NoError(t, err)
	defaulting.Default(spec, r.spec)
	refused, _ := r.validator.Validate(t.Context(), field.NewPath("spec"), r.spec, spec, nil, celconfig.RuntimeCELCostBudget)
	var messages []string
	for _, refusal := range refused {
		if extraArgsRefusal.MatchString(refusal.Detail) {
			messages = append(messages, refusal.Detail)
		}
	}
	return messages
}
