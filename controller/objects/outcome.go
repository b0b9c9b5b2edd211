package objects

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Outcome is a configuration that was applied, and what the API server kept of it. The two differ where the API server fills in a
// default, rounds a quantity, or drops a field, and where an admission policy changes a value. Applying the same configuration again
// would lead to the same outcome, so nothing is sent until either side changes.
//
// Digests stand for both. An outcome that is lost with the process costs one apply without effect.
type Outcome struct{ Applied, Kept [sha256.Size]byte }

// Digest identifies an apply configuration by its content. It panics if the configuration has no JSON, which only a change of
// types can bring about.
func Digest(configuration any) [sha256.Size]byte {
	data, err := json.Marshal(configuration)
	if err != nil {
		panic(fmt.Sprintf("%T is not JSON: %v", configuration, err))
	}
	return sha256.Sum256(data)
}

// ResourceVersionOf is the resource version in the response to an apply configuration.
func ResourceVersionOf(response any) string {
	return As[metav1.PartialObjectMetadata](response).ResourceVersion
}
