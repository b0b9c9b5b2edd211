package dist_test

import (
	"crypto/elliptic"
	"os"
	"path/filepath"
	"testing"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/stretchr/testify/require"
)

// keys generates a pair of keys as `cosign generate-key-pair` does, and returns their files.
func keys(t *testing.T, password string) (private, public string) {
	t.Helper()
	var encrypt cryptoutils.PassFunc
	if password != "" {
		encrypt = cryptoutils.StaticPasswordFunc([]byte(password))
	}
	privatePEM, publicPEM, err := cryptoutils.GeneratePEMEncodedECDSAKeyPair(elliptic.P256(), encrypt)
	require.NoError(t, err)
	private, public = filepath.Join(t.TempDir(), "cosign.key"), filepath.Join(t.TempDir(), "cosign.pub")
	require.NoError(t, os.WriteFile(private, privatePEM, 0o600))
	require.NoError(t, os.WriteFile(public, publicPEM, 0o600))
	return private, public
}
