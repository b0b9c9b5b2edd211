package controller

import (
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/controller/objects"
)

// outcomes are the outcomes of each KSMScale's objects, by kind and name.
type outcomes struct {
	memories[map[string]objects.Outcome]
}

// of returns the outcomes of one KSMScale, which only its reconcile uses.
func (o *outcomes) of(ksmScale string) map[string]objects.Outcome {
	return o.renew(ksmScale, func(before map[string]objects.Outcome) map[string]objects.Outcome {
		if before == nil {
			return map[string]objects.Outcome{}
		}
		return before
	})
}

// forgetOne has an object applied again although it is as it was left.
func (o *outcomes) forgetOne(ksmScale, id string) { delete(o.of(ksmScale), id) }

// outcomeID identifies an object among those of a KSMScale.
func outcomeID(kind string, key client.ObjectKey) string { return kind + " " + key.String() }
