// Package signature signs releases with a key of the user, as cosign does with one, and verifies such signatures. Keys come from
// `cosign generate-key-pair`, or any private key in PEM. Nothing is sent to a transparency log.
package signature

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"errors"
	"fmt"
	"os"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/payload"
)

// Extension is the extension of the file with the signature of another.
const Extension = ".sig"

const payloadType types.MediaType = "application/vnd.dev.cosign.simplesigning.v1+json"

const annotation = "dev.cosignproject.cosign/signature"

// Signer returns a signer with the private key of a file. The password is for an encrypted key.
func Signer(keyFile, password string) (signature.Signer, error) {
	signer, err := signature.LoadSignerFromPEMFile(keyFile, crypto.SHA256, cryptoutils.StaticPasswordFunc([]byte(password)))
	if err != nil {
		return nil, fmt.Errorf("load private key %s: %w", keyFile, err)
	}
	return signer, nil
}

// Verifier returns a verifier with the public key of a file.
func Verifier(keyFile string) (signature.Verifier, error) {
	verifier, err := signature.LoadVerifierFromPEMFile(keyFile, crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("load public key %s: %w", keyFile, err)
	}
	return verifier, nil
}

// SignFile writes the signature of a file next to it, in base64 as cosign does.
func SignFile(signer signature.Signer, file string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	signed, err := sign(signer, content)
	if err != nil {
		return fmt.Errorf("sign %s: %w", file, err)
	}
	return os.WriteFile(file+Extension, []byte(signed), 0o600)
}

// VerifyFile returns an error unless the signature next to a file is a signature of it.
func VerifyFile(verifier signature.Verifier, file string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	signed, err := os.ReadFile(file + Extension)
	if err != nil {
		return err
	}
	if err := verify(verifier, content, string(signed)); err != nil {
		return fmt.Errorf("verify %s: %w", file, err)
	}
	return nil
}

// Tag is where the signature of an image is looked for.
func Tag(of name.Digest) (name.Tag, error) {
	hash, err := v1.NewHash(of.DigestStr())
	if err != nil {
		return name.Tag{}, err
	}
	return of.Context().Tag(hash.Algorithm + "-" + hash.Hex + Extension), nil
}

// Image returns an image that has the signature of another one.
func Image(signer signature.Signer, of name.Digest) (v1.Image, error) {
	content, err := payload.Cosign{Image: of}.MarshalJSON()
	if err != nil {
		return nil, err
	}
	signed, err := sign(signer, content)
	if err != nil {
		return nil, fmt.Errorf("sign image %s: %w", of, err)
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	return mutate.Append(base, mutate.Addendum{
		Layer: static.NewLayer(content, payloadType), Annotations: map[string]string{annotation: signed},
	})
}

// VerifyImage returns an error unless an image has a signature of another one.
func VerifyImage(verifier signature.Verifier, signatures v1.Image, of name.Digest) error {
	manifest, err := signatures.Manifest()
	if err != nil {
		return err
	}
	errs := []error{fmt.Errorf("verify image %s: no signature of it", of)}
	for _, descriptor := range manifest.Layers {
		layer, err := signatures.LayerByDigest(descriptor.Digest)
		if err != nil {
			return err
		}
		reader, err := layer.Compressed()
		if err != nil {
			return err
		}
		var content bytes.Buffer
		_, err = content.ReadFrom(reader)
		if err := errors.Join(err, reader.Close()); err != nil {
			return err
		}
		var claimed payload.Cosign
		err = errors.Join(claimed.UnmarshalJSON(content.Bytes()), verify(verifier, content.Bytes(), descriptor.Annotations[annotation]))
		if err == nil && claimed.Image.DigestStr() == of.DigestStr() {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func sign(signer signature.Signer, content []byte) (string, error) {
	signed, err := signer.SignMessage(bytes.NewReader(content))
	return base64.StdEncoding.EncodeToString(signed), err
}

func verify(verifier signature.Verifier, content []byte, signed string) error {
	decoded, err := base64.StdEncoding.DecodeString(signed)
	if err != nil {
		return err
	}
	return verifier.VerifySignature(bytes.NewReader(decoded), bytes.NewReader(content))
}
