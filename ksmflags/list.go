package ksmflags

import "strings"

// Items returns the items of a flag's values, each a list separated by commas. Spaces around an item and empty items do
// not count.
func Items(values ...string) []string {
	var items []string
	for item := range strings.SplitSeq(strings.Join(values, ","), ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// ResourcesOf returns the resources that the items of --metric-labels-allowlist or --metric-annotations-allowlist name, such
// as pods and nodes for the values pods=[app,team] and nodes=[*].
func ResourcesOf(items []string) []string {
	var resources []string
	for _, item := range items {
		if name, _, begins := strings.Cut(item, "="); begins {
			resources = append(resources, strings.TrimSpace(name))
		}
	}
	return resources
}

// List is the value of a flag that may be given more than once, each time with a list separated by commas. It implements
// pflag.Value.
type List []string

// Set adds the items of one value. It returns no error.
func (l *List) Set(value string) error {
	*l = append(*l, Items(value)...)
	return nil
}

// String is the list as one value.
func (l *List) String() string { return strings.Join(*l, ",") }

// Type is what help calls such a value.
func (*List) Type() string { return "strings" }
