// Command images writes the images of the end-to-end tests into a folder, for clusters that load images from files.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/example/ksmscale/test/cluster/image"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "Usage: images FOLDER")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

func write(folder string) error {
	images, err := image.All(".")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return fmt.Errorf("create folder of images: %w", err)
	}
	for number, image := range images {
		file := filepath.Join(folder, fmt.Sprintf("image-%d.tar", number))
		if err := image.Write(file); err != nil {
			return err
		}
		fmt.Fprintln(os.Stdout, file, image.Name)
	}
	return nil
}
