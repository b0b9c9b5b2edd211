package registration

import (
	"sync"
)

// State is how the registration of external metrics with the API server goes. The reconciler of the
// APIService tells it, and all KSMScales have it in their status. Create it with NewRegistration.
type State struct {
	notify func()

	mu  sync.Mutex
	err error
}

// NewState returns one without an error. It calls notify after the error has changed.
func NewState(notify func()) *State { return &State{notify: notify} }

// Err is why external metrics cannot be registered, and nil if they are, or need not be.
func (r *State) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

func (r *State) set(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if text(r.err) == text(err) {
		return
	}
	r.err = err
	r.notify()
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
