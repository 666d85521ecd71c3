package govc

// LimitBatches makes batches smaller than a service would take, so that tests
// reach the limits cheaply.
func (c *Client) LimitBatches(items, body, unpacked int) {
	c.limits = batchLimits{items: items, body: body, unpacked: unpacked}
}

// UsualBatch returns the limits of batches.
func UsualBatch() (items, body, unpacked int) {
	return usualLimits.items, usualLimits.body, usualLimits.unpacked
}
