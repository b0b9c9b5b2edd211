package objects

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Outcome has the digests of an applied configuration and of the fields that the API server kept. They differ when the API server fills in a
// default, rounds a quantity or drops a field, or when an admission policy changes a value. Another apply of the same configuration would
// lead to the same outcome, so the controller skips it. An outcome that is lost with the process costs one apply without effect.
type Outcome struct {
	// Applied is the digest of the applied configuration, and Kept the digest of the fields that the controller owns afterwards.
	Applied, Kept [sha256.Size]byte
}

// Digest identifies an apply configuration by its content. It panics if the type cannot be written as JSON.
func Digest(configuration any) [sha256.Size]byte {
	data, err := json.Marshal(configuration)
	if err != nil {
		panic(fmt.Sprintf("%T is not JSON: %v", configuration, err))
	}
	return sha256.Sum256(data)
}

// ResourceVersionOf returns the resource version of an object or an apply configuration. An apply writes its response there.
func ResourceVersionOf(response any) string {
	return As[metav1.PartialObjectMetadata](response).ResourceVersion
}
