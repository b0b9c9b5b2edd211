package controller

import (
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/controller/objects"
)

// outcomes has the outcomes of the objects of each KSMScale, by kind and name.
type outcomes struct {
	memories[map[string]objects.Outcome]
}

// of returns the outcomes of a KSMScale. Only its reconcile may use them.
func (o *outcomes) of(ksmScale string) map[string]objects.Outcome {
	return o.renew(ksmScale, func(before map[string]objects.Outcome) map[string]objects.Outcome {
		if before == nil {
			return map[string]objects.Outcome{}
		}
		return before
	})
}

// forgetOne drops the outcome of an object, so the next reconcile applies the object again.
func (o *outcomes) forgetOne(ksmScale, id string) { delete(o.of(ksmScale), id) }

// outcomeID identifies an object of a KSMScale.
func outcomeID(kind string, key client.ObjectKey) string { return kind + " " + key.String() }
