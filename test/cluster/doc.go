// Package cluster runs a real Kubernetes control plane on this machine, for tests, demos and playing with
// kubectl: etcd, API server, controller manager, scheduler, and KWOK, which makes Node objects look alive and
// their pods running without a process behind them. Everything listens on loopback and everything comes from
// one binary, bin/kube, which `make kube` builds; neither containers nor downloads are needed.
//
// Start is the way in, StartT for tests. Read cluster.go for the order of things, components.go for the
// flags, nodes.go for the fake nodes and process.go for how a program is kept from outliving its test.
//
// Up to two real nodes, whose pods really run, can run next to the fake ones, as root on Linux: Isolate and
// Options.RealNodes are the way in. They need what `make node` builds and installs: bin/node, which is kubelet and
// kube-proxy, and containerd. Read isolate.go for how the machine is kept from all of it, and realnodes.go. There
// is no DNS in such a cluster; the API server is reached through the kubernetes Service's address.
//
// It is no place for secrets: etcd listens on loopback without a password.
package cluster
