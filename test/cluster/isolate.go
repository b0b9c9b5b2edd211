package cluster

import (
	"fmt"
	"os"
)

// isolationVariable is the stage of Isolate. It is in the environment of all stages except the first.
const isolationVariable = "LOCAL_CLUSTER_ISOLATION"

// The later stages, which are values of isolationVariable.
const (
	// stageInit is the first process of the namespaces. It prepares them, reaps orphans, and its end is the
	// end of everything else in there.
	stageInit = "init"
	// stageInside is the program proper.
	stageInside = "inside"
)

// Isolate moves the rest of this program into new network, mount and process namespaces. Real nodes need that. Their
// changes of interfaces, mounts and kernel settings then do not reach the machine. When the program ends for any reason,
// its processes and mounts end too. Only folders stay.
//
// Call it at the very start of main or TestMain, because it starts the program again. It returns only inside. The first
// process exits with the exit code of the inner one. It needs root on Linux. An error names what is missing, before any
// change.
//
// The inside cannot reach the outside, and the outside cannot reach the inside, not even over loopback.
func Isolate() error {
	switch os.Getenv(isolationVariable) {
	case stageInside:
		return nil
	case stageInit:
		code, err := runInit()
		exit(code, err)
	}
	if err := canIsolate(); err != nil {
		return err
	}
	code, err := runOutside()
	exit(code, err)
	return nil
}

// Isolated reports whether this program is inside the namespaces of Isolate.
func Isolated() bool { return os.Getenv(isolationVariable) == stageInside }

// exit ends a stage that is not the program proper.
func exit(code int, err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "isolate:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}
