package controller

import (
	"slices"
	"sync"
)

// memories stores a value for each KSMScale by its name. It is lost when the process ends, and a new leader starts with empty memories.
type memories[T any] struct {
	mu  sync.Mutex
	all map[string]T
}

// renew replaces the value of a KSMScale, and returns the new value. Only the reconcile of this KSMScale may use the value.
func (m *memories[T]) renew(ksmScale string, from func(before T) T) T {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.all == nil {
		m.all = map[string]T{}
	}
	renewed := from(m.all[ksmScale])
	m.all[ksmScale] = renewed
	return renewed
}

// recall returns the value of a KSMScale; the zero value without one.
func (m *memories[T]) recall(ksmScale string) T {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.all[ksmScale]
}

// names returns the names of the KSMScales whose value meets a condition, in order.
func (m *memories[T]) names(meets func(T) bool) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for ksmScale, value := range m.all {
		if meets(value) {
			names = append(names, ksmScale)
		}
	}
	slices.Sort(names)
	return names
}

// forget drops the value of a KSMScale.
func (m *memories[T]) forget(ksmScale string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.all, ksmScale)
}
