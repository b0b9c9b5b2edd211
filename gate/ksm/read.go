package ksm

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/example/ksmscale/gate/exposition"
	"github.com/example/ksmscale/gate/sharding"
	"github.com/example/ksmscale/measurements"
)

// Exposition reads everything that kube-state-metrics exposes, like a scraper, and keeps only the numbers.
func (c *Client) Exposition(ctx context.Context) (measurements.Exposition, error) {
	// A client that sets the encoding also decompresses, and so can count the transferred bytes.
	response, err := c.do(ctx, c.Metrics, "gzip")
	if err != nil {
		return measurements.Exposition{}, err
	}
	defer response.Body.Close()
	transferred := &byteCounter{from: response.Body}
	plain := &byteCounter{from: transferred}
	if response.Header.Get("Content-Encoding") == "gzip" {
		if plain.from, err = gzip.NewReader(transferred); err != nil {
			return measurements.Exposition{}, fmt.Errorf("decompress metrics: %w", err)
		}
	}
	var counts exposition.Tally
	if err := counts.Read(plain); err != nil {
		return measurements.Exposition{}, err
	}
	return measurements.Exposition{
		Series: counts.Series, Objects: counts.Objects,
		ExpositionBytes: plain.bytes, TransferredBytes: transferred.bytes,
	}, nil
}

// byteCounter counts the bytes that are read through it.
type byteCounter struct {
	from  io.Reader
	bytes int64
}

func (c *byteCounter) Read(to []byte) (int, error) {
	read, err := c.from.Read(to)
	c.bytes += int64(read)
	return read, err
}

// Tally counts the exposed objects of resources, and how many of them belong to other shards.
func (c *Client) Tally(ctx context.Context, kinds []exposition.Resource, shard sharding.Shard) (*exposition.Tally, error) {
	// Compression would cost kube-state-metrics more than the transfer.
	response, err := c.do(ctx, c.Metrics+"?"+resourcesQuery(kinds), "identity")
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	counts := &exposition.Tally{Has: func(uid string) bool { return shard.Has(types.UID(uid)) }}
	return counts, counts.Read(response.Body)
}

// CustomSeries is the number of series of custom resources.
func (c *Client) CustomSeries(ctx context.Context) (int, error) {
	// Versions before v2.18.0 ignore the parameter, and return all metrics.
	others := url.Values{"exclude_resources": {strings.Join(slices.Sorted(maps.Keys(exposition.Resources)), ",")}}
	body, err := c.get(ctx, c.Metrics+"?"+others.Encode())
	if err != nil {
		return 0, err
	}
	defer body.Close()
	return exposition.CountCustom(body)
}
