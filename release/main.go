// Command release writes a release of KSMScale, signs it, verifies it and publishes it. It is a module of its own, so that the product
// depends on none of what it needs. Package dist is where to read on.
package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/example/ksmscale/release/dist"
	"github.com/example/ksmscale/release/names"
	"github.com/example/ksmscale/release/publish"
	"github.com/example/ksmscale/release/signature"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		os.Exit(1)
	}
}

func command() *cobra.Command {
	root := &cobra.Command{Use: "release", Short: "Write, sign, verify and publish a release of KSMScale", SilenceUsage: true}
	root.AddCommand(buildCommand("build", "Write a release into a folder", dist.Build, "linux/amd64", "linux/arm64"),
		buildCommand("images", "Write the images of a release for this machine, and the manifest that installs them", dist.Images, "linux/"+runtime.GOARCH),
		namesCommand(), signCommand(), verifyCommand(), publishCommand())
	return root
}

// nameFlags adds a flag for each name.
func nameFlags(command *cobra.Command) func() names.Names {
	var flags names.Names
	command.Flags().StringVar(&flags.Version, "version", "", "Version, such as v1.2.3.")
	command.Flags().StringVar(&flags.Registry, "registry", "", "Registry with the organisation, such as ghcr.io/example.")
	command.Flags().StringVar(&flags.Source, "source", "", "Home of the source; empty for ksmscale in an organisation of GitHub that has the name of the registry's.")
	return func() names.Names {
		flags.Source = cmp.Or(flags.Source, names.SourceOf(flags.Registry))
		return flags
	}
}

func buildCommand(use, short string, build func(context.Context, dist.Options) error, platforms ...string) *cobra.Command {
	options := dist.Options{Log: os.Stdout, Images: dist.ProjectImages}
	command := &cobra.Command{Use: use + " CHECKOUT", Short: short, Args: cobra.ExactArgs(1)}
	named := nameFlags(command)
	command.Flags().StringVar(&options.Output, "output", "dist", "Folder of the release.")
	command.Flags().StringSliceVar(&options.Platforms, "platforms", platforms, "Platforms of the images.")
	command.Flags().StringSliceVar(&options.PluginPlatforms, "plugin-platforms",
		[]string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64", "windows/arm64"}, "Platforms of the kubectl plugin.")
	command.RunE = func(command *cobra.Command, args []string) error {
		options.Root, options.Names = args[0], named()
		var err error
		if options.Revision, options.Created, err = commit(command.Context(), options.Root); err != nil {
			return err
		}
		return build(command.Context(), options)
	}
	return command
}

// commit returns the commit of a checkout and its time, by which the same commit gives the same release. SOURCE_DATE_EPOCH and no commit
// stand for a checkout without git.
func commit(ctx context.Context, root string) (string, time.Time, error) {
	if epoch, set := os.LookupEnv("SOURCE_DATE_EPOCH"); set {
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		return "", time.Unix(seconds, 0).UTC(), err
	}
	git := func(args ...string) (string, error) {
		output, err := exec.CommandContext(ctx, "git", append([]string{"-C", root}, args...)...).Output()
		if err != nil {
			return "", fmt.Errorf("git %v: %w; set SOURCE_DATE_EPOCH where there is no git", args, err)
		}
		return strings.TrimSpace(string(output)), nil
	}
	described, err := git("log", "-1", "--format=%H %ct")
	if err != nil {
		return "", time.Time{}, err
	}
	revision, epoch, _ := strings.Cut(described, " ")
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return "", time.Time{}, err
	}
	changes, err := git("status", "--porcelain")
	if changes != "" {
		revision += "-modified"
	}
	return revision, time.Unix(seconds, 0).UTC(), err
}

func namesCommand() *cobra.Command {
	command := &cobra.Command{Use: "names CHECKOUT", Short: "Give a checkout other names", Args: cobra.ExactArgs(1)}
	named := nameFlags(command)
	command.RunE = func(_ *cobra.Command, args []string) error { return names.Set(args[0], named()) }
	return command
}

// password is the password of an encrypted private key, as cosign reads it.
func password() string { return os.Getenv("COSIGN_PASSWORD") }

func signCommand() *cobra.Command {
	var key string
	command := &cobra.Command{Use: "sign FOLDER", Short: "Sign the checksums of a release", Args: cobra.ExactArgs(1)}
	command.Flags().StringVar(&key, "key", "", "File of the private key. The environment variable COSIGN_PASSWORD has its password.")
	command.RunE = func(_ *cobra.Command, args []string) error {
		signer, err := signature.Signer(key, password())
		if err != nil {
			return err
		}
		return signature.SignFile(signer, filepath.Join(args[0], dist.Checksums))
	}
	return command
}

func verifyCommand() *cobra.Command {
	var key string
	command := &cobra.Command{Use: "verify FOLDER", Short: "Verify the files of a release, and its signature", Args: cobra.ExactArgs(1)}
	command.Flags().StringVar(&key, "key", "", "File of the public key; empty to verify no signature.")
	command.RunE = func(_ *cobra.Command, args []string) error {
		if err := dist.Verify(args[0]); err != nil || key == "" {
			return err
		}
		verifier, err := signature.Verifier(key)
		if err != nil {
			return err
		}
		return signature.VerifyFile(verifier, filepath.Join(args[0], dist.Checksums))
	}
	return command
}

func publishCommand() *cobra.Command {
	var key string
	options := publish.Options{Log: os.Stdout}
	command := &cobra.Command{Use: "publish FOLDER", Short: "Push the images and the chart of a release to the registry that it names", Args: cobra.ExactArgs(1)}
	command.Flags().StringVar(&key, "key", "", "File of the private key to sign the images with; empty to push no signatures.")
	command.Flags().BoolVar(&options.PlainHTTP, "plain-http", false, "The registry has no TLS.")
	command.RunE = func(command *cobra.Command, args []string) error {
		options.Folder = args[0]
		if key != "" {
			var err error
			if options.Signer, err = signature.Signer(key, password()); err != nil {
				return err
			}
		}
		return publish.Publish(command.Context(), options)
	}
	return command
}
