package controller

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// outcome is a configuration that was applied, and what the API server kept of it. The two differ where the API server fills in a
// default, rounds a quantity, or drops a field, and where an admission policy changes a value. Applying the same configuration again
// would lead to the same outcome, so nothing is sent until either side changes.
//
// Digests stand for both. An outcome that is lost with the process costs one apply without effect.
type outcome struct{ applied, kept [sha256.Size]byte }

// digest identifies an apply configuration by its content. It panics if the configuration has no JSON, which only a change of
// types can bring about.
func digest(configuration any) [sha256.Size]byte {
	data, err := json.Marshal(configuration)
	if err != nil {
		panic(fmt.Sprintf("%T is not JSON: %v", configuration, err))
	}
	return sha256.Sum256(data)
}

// outcomeID identifies an object among those of a KSMScale.
func outcomeID(kind string, key client.ObjectKey) string { return kind + " " + key.String() }

// outcomes are the outcomes of each KSMScale's objects, by kind and name.
type outcomes struct {
	memories[map[string]outcome]
}

// of returns the outcomes of one KSMScale, which only its reconcile uses.
func (o *outcomes) of(ksmScale string) map[string]outcome {
	return o.renew(ksmScale, func(before map[string]outcome) map[string]outcome {
		if before == nil {
			return map[string]outcome{}
		}
		return before
	})
}

// forgetOne has an object applied again although it is as it was left.
func (o *outcomes) forgetOne(ksmScale, id string) { delete(o.of(ksmScale), id) }
