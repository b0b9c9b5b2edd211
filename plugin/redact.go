package plugin

import (
	"regexp"
	"strings"
)

// redactedValue stands for a value that may be secret.
const redactedValue = "REDACTED"

// tokens are JSON web tokens, such as tokens of service accounts, and credentials of HTTP.
var tokens = regexp.MustCompile(`eyJ[\w-]{8,}\.[\w-]+\.[\w-]*|(?i:bearer|basic) [\w.~+/=-]{8,}`)

// withoutTokens replaces tokens in a text.
func withoutTokens(text []byte) []byte { return tokens.ReplaceAll(text, []byte(redactedValue)) }

// ownDomains are the domains of annotations whose values are known to be no secrets.
var ownDomains = []string{"ksmscale.example.com/", "deployment.kubernetes.io/", "apps.kubernetes.io/"}

// redact replaces what may be secret in an object: the values of environment variables, and annotations of others, one of which has a whole
// object as kubectl applied it. It removes managed fields, which have the names of these again.
func redact(value any) {
	switch value := value.(type) {
	case map[string]any:
		delete(value, "managedFields")
		for key, child := range value {
			if isAnnotations(key) {
				redactAnnotations(child)
			}
			if key == "env" {
				redactEnvironment(child)
			}
			redact(child)
		}
	case []any:
		for _, child := range value {
			redact(child)
		}
	}
}

// isAnnotations reports whether a field has annotations: of an object, or the ones that a KSMScale sets on its objects and pods.
func isAnnotations(key string) bool {
	return key == "annotations" || strings.HasSuffix(key, "Annotations")
}

func redactAnnotations(annotations any) {
	byKey, isMap := annotations.(map[string]any)
	if !isMap {
		return
	}
	for key := range byKey {
		if !hasAnyPrefix(key, ownDomains) {
			byKey[key] = redactedValue
		}
	}
}

func hasAnyPrefix(text string, prefixes []string) bool {
	for _, prefix := range prefixes {
		if strings.HasPrefix(text, prefix) {
			return true
		}
	}
	return false
}

func redactEnvironment(variables any) {
	list, isList := variables.([]any)
	if !isList {
		return
	}
	for _, variable := range list {
		if fields, isMap := variable.(map[string]any); isMap && fields["value"] != nil {
			fields["value"] = redactedValue
		}
	}
}
