// Package objectcounts counts the objects of a cluster. The first sizes of shards are estimated from the counts.
package objectcounts
