package cluster

import (
	"fmt"
	"os"
)

// isolationVariable tells the stages of Isolate apart; it is in the environment of all but the first.
const isolationVariable = "LOCAL_CLUSTER_ISOLATION"

// The stages after the first one, as values of isolationVariable.
const (
	// stageInit is the first process of the namespaces. It prepares them, reaps orphans, and its end is the
	// end of everything else in there.
	stageInit = "init"
	// stageInside is the program proper.
	stageInside = "inside"
)

// Isolate moves the rest of this program into fresh network, mount and process namespaces, which real nodes
// need: nothing that they do to interfaces, mounts and kernel settings reaches the machine, and when the program
// ends, in whatever way, all that it started and mounted is gone. Only folders stay.
//
// It is to be called at the very start of main or TestMain, for it starts the program again: it returns only
// inside, and in the first process exits with the code of the one inside. It needs root on Linux. An error says
// what is missing, before anything was done.
//
// Nothing outside can be reached from inside, and the other way round: not even over loopback.
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

// Isolated tells whether this program is inside the namespaces of Isolate.
func Isolated() bool { return os.Getenv(isolationVariable) == stageInside }

// exit ends a stage that is not the program proper.
func exit(code int, err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "isolate:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}
