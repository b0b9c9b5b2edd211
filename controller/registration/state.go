package registration

import (
	"sync"
)

// State has the error of the registration of external metrics, if any. Reconciler sets it, and the status of every KSMScale reports it.
// Create it with NewState.
type State struct {
	notify func()

	mu  sync.Mutex
	err error
}

// NewState returns a State without an error. It calls notify after each change of the error.
func NewState(notify func()) *State { return &State{notify: notify} }

// Err returns why the controller cannot register external metrics, or nil.
func (s *State) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// set replaces the error.
func (s *State) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if text(s.err) == text(err) {
		return
	}
	s.err = err
	s.notify()
}

// text returns the text of an error; empty if it is nil.
func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
