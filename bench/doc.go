// Package bench measures what the stores do, with the product's own code, in
// repositories of its own that are removed afterwards, and puts the published
// figures beside the result.
package bench
