// Package kubescore has kube-score as a tool of a module of its own: it needs an older Kubernetes than others do.
package kubescore
