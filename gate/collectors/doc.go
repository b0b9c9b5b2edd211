// Package collectors exports what the gate measures and counts, as metrics with the names in package measurements. The controller reads
// them with that package.
package collectors
