// Package specs turns any bytes into a KSMScale that the CustomResourceDefinition accepts, for tests of what follows from
// a spec: the same bytes give the same KSMScale. It returns the desired objects of a KSMScale as well.
package specs
