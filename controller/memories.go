package controller

import (
	"sync"
)

// memories are what is remembered of each KSMScale, by its name. They are lost with the process, or when another one becomes the
// leader.
type memories[T any] struct {
	mu  sync.Mutex
	all map[string]T
}

// renew replaces what is remembered of a KSMScale, and returns it. No one else may use it at the same time, as no one else
// reconciles the KSMScale.
func (m *memories[T]) renew(ksmScale string, from func(before T) T) T {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.all == nil {
		m.all = map[string]T{}
	}
	now := from(m.all[ksmScale])
	m.all[ksmScale] = now
	return now
}

// forget is for a KSMScale that is gone, or of which nothing is to be remembered any more.
func (m *memories[T]) forget(ksmScale string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.all, ksmScale)
}
