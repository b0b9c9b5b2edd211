package churn

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"k8s.io/apimachinery/pkg/util/sets"
)

func TestObjectsComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second+time.Millisecond)
		defer cancel()
		var mutex sync.Mutex
		living, most := sets.New[int](), 0
		created, err := Run(ctx, 5, 2*time.Second,
			func(_ context.Context, number int) error {
				mutex.Lock()
				defer mutex.Unlock()
				living.Insert(number)
				most = max(most, living.Len())
				return nil
			},
			func(ctx context.Context, number int) error {
				mutex.Lock()
				defer mutex.Unlock()
				living.Delete(number)
				return ctx.Err()
			})
		assert.NoError(t, err, "objects that live at the end are removed too")
		assert.Equal(t, 50, created)
		assert.InDelta(t, 10, most, 1)
		assert.Empty(t, living)
	})
}

func TestTheFirstErrorIsReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		failure := errors.New("refused")
		_, err := Run(ctx, 5, time.Minute, func(context.Context, int) error { return failure }, func(context.Context, int) error {
			t.Error("it does not exist")
			return nil
		})
		assert.ErrorIs(t, err, failure)
	})
}
