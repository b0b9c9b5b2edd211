// Package cluster runs a real Kubernetes control plane on this machine, for tests, demos and trying kubectl. It has etcd,
// API server, controller manager, scheduler, and KWOK. KWOK updates Node objects like a kubelet, and marks their pods as
// running without a process. All components listen on loopback and come from one binary, bin/kube, which `make kube`
// builds. They need no containers and no downloads.
//
// Start with Start, or StartT in tests. cluster.go has the order of the steps, components.go the flags, nodes.go the fake
// nodes, and process.go how programs end with their test.
//
// The cluster can also have up to two real nodes, whose pods really run, as root on Linux: see Isolate and
// Options.RealNodes. They need what `make node` builds and installs: bin/node, which is kubelet and kube-proxy, and
// containerd. isolate.go protects the machine from their changes; then read realnodes.go. Such a cluster has no DNS. Pods
// reach the API server through the address of the kubernetes Service.
//
// It is no place for secrets: etcd listens on loopback without a password.
package cluster
