// Package kubescore has kube-score as a tool in a separate module, because it needs an older Kubernetes than other
// modules.
package kubescore
