package httpapi

import (
	"bytes"
	"math"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const namespace = "caiatop_"

// states are the values of the label state; one that is not here is "other".
var states = []string{"PROBING", "PRIMARY", "FALLBACK", "REPLAYING", "RESEEDING", "LOCKED", "NO PRIMARY", "other"}

// counts are the server's own.
type counts struct {
	requests         *prometheus.CounterVec
	open             prometheus.Gauge
	evicted, refused prometheus.Counter
}

func (n *counts) register(registry *prometheus.Registry) {
	n.requests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: namespace + "http_requests_total", Help: "Requests answered, by HTTP status.",
	}, []string{"code"})
	n.open = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: namespace + "http_connections", Help: "Connections that are open.",
	})
	n.evicted = prometheus.NewCounter(prometheus.CounterOpts{
		Name: namespace + "http_connections_evicted_total", Help: "Connections closed in favour of new ones, because all places were taken.",
	})
	n.refused = prometheus.NewCounter(prometheus.CounterOpts{
		Name: namespace + "http_connections_refused_total", Help: "Connections refused, because the engine was working for all others.",
	})
	registry.MustRegister(n.requests, n.open, n.evicted, n.refused,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
}

// prometheus serves what monitoring reads.
func (s *Server) prometheus(c *call) (any, error) {
	var facts facts
	var err error
	if facts.status, err = s.engine.Status(c.ctx); err != nil {
		return nil, err
	}
	if facts.stats, err = s.engine.Stats(c.ctx); err != nil {
		return nil, err
	}
	if facts.metrics, err = s.engine.Metrics(c.ctx); err != nil {
		return nil, err
	}
	scrape := prometheus.NewRegistry()
	if err := scrape.Register(facts); err != nil {
		return nil, err
	}
	out := page{header: http.Header{}}
	promhttp.HandlerFor(prometheus.Gatherers{s.registry, scrape}, promhttp.HandlerOpts{DisableCompression: true}).ServeHTTP(&out, c.Request)
	return text{out.status, out.header.Get("Content-Type"), out.String()}, nil
}

// page keeps what a handler writes.
type page struct {
	bytes.Buffer
	header http.Header
	status int
}

// Header implements http.ResponseWriter.
func (p *page) Header() http.Header { return p.header }

// WriteHeader implements http.ResponseWriter.
func (p *page) WriteHeader(status int) { p.status = status }

// Write implements http.ResponseWriter.
func (p *page) Write(data []byte) (int, error) {
	if p.status == 0 {
		p.status = http.StatusOK
	}
	return p.Buffer.Write(data)
}

// facts collects one view of the engine.
type facts struct {
	status  Status
	stats   Stats
	metrics Metrics
}

// metric describes one family.
func metric(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(namespace+name, help, labels, nil)
}

var (
	healthyDesc   = metric("healthy", "1 if every part does its work.")
	readyDesc     = metric("ready", "1 if a write can be acknowledged.")
	stateDesc     = metric("state", "1 at the state of the primary.", "state")
	sinceDesc     = metric("state_start_time_seconds", "When the state began, as Unix time.")
	documentsDesc = metric("documents", "Documents in the index.")
	bytesDesc     = metric("documents_bytes", "Content of the documents in the index.")
	memoryDesc    = metric("memory_documents", "Documents in the memory store.")
	pendingDesc   = metric("outbox_pending_operations", "Acknowledged operations that the primary lacks.")
	outboxDesc    = metric("outbox_bytes", "Payload kept in the outbox.")
	oldestDesc    = metric("outbox_oldest_time_seconds", "When the oldest pending operation was acknowledged, as Unix time; absent if none is pending.")
	parkedDesc    = metric("parked_operations", "Operations set aside.")
	lagDesc       = metric("store_lag_operations", "Operations that a store is behind; absent if nobody knows.", "store")
	inStepDesc    = metric("store_in_step", "1 if a store has every operation.", "store")
	failingDesc   = metric("store_failing", "1 if the last attempt at a store failed.", "store")
	damagedDesc   = metric("store_damaged", "1 if something of a store is known to be damaged.", "store")
	serviceDesc   = metric("service_up", "1 if the last probe of the service went well; absent without a service.")
	probeDesc     = metric("service_probe_duration_seconds", "Median of the last good probes; absent if there was none.")
	readsDesc     = metric("reads_total", "Documents read by callers.")
	writesDesc    = metric("writes_total", "Documents written and deleted by callers.")
	switchesDesc  = metric("fallbacks_total", "Entries into FALLBACK.")
	opsDesc       = metric("operations_total", "Operations by kind, store and result.", "op", "store", "result")
	durationDesc  = metric("operation_duration_seconds", "Time of successful operations; the quantiles are those of the last five minutes.", "op", "store")
)

// Describe implements prometheus.Collector: what there is varies.
func (f facts) Describe(descs chan<- *prometheus.Desc) { prometheus.DescribeByCollect(f, descs) }

// Collect implements prometheus.Collector.
func (f facts) Collect(out chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	counter := func(desc *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, value, labels...)
	}
	s, e := f.status, f.stats.Engine
	gauge(healthyDesc, oneIf(s.Healthy))
	gauge(readyDesc, oneIf(s.Ready))
	f.collectState(gauge)
	gauge(sinceDesc, unix(s.Since))
	gauge(documentsDesc, float64(s.Documents))
	gauge(bytesDesc, float64(s.Bytes))
	gauge(memoryDesc, float64(f.stats.Govc.DocumentsInMemory))
	gauge(pendingDesc, float64(s.Outbox.Pending))
	gauge(outboxDesc, float64(s.Outbox.Bytes))
	if s.Outbox.Oldest != nil {
		gauge(oldestDesc, unix(*s.Outbox.Oldest))
	}
	gauge(parkedDesc, float64(s.Parked))
	for _, store := range s.Stores {
		if !store.Unknown {
			gauge(lagDesc, float64(store.Lag), store.Name)
		}
		gauge(inStepDesc, oneIf(store.InStep), store.Name)
		gauge(failingDesc, oneIf(store.Error != ""), store.Name)
		gauge(damagedDesc, oneIf(store.Damage != ""), store.Name)
	}
	if s.Service.URL != "" {
		gauge(serviceDesc, oneIf(s.Service.Up))
	}
	if s.Service.ProbeMS > 0 {
		gauge(probeDesc, s.Service.ProbeMS/1000)
	}
	s.Backup.collect(gauge)
	s.collectPhase(gauge)
	e.collectConflicts(gauge, counter)
	s.Drill.collect(gauge)
	s.Verify.collect(gauge)
	counter(readsDesc, float64(e.Reads))
	counter(writesDesc, float64(e.Writes))
	counter(switchesDesc, float64(e.Switches))
	for _, op := range f.metrics.Operations {
		counter(opsDesc, float64(op.Total), op.Op, op.Store, "ok")
		counter(opsDesc, float64(op.TotalErrors), op.Op, op.Store, "error")
		out <- summary(op)
	}
}

func (f facts) collectState(gauge func(*prometheus.Desc, float64, ...string)) {
	known := false
	for _, state := range states {
		here := state == f.status.State || state == "other" && !known
		known = known || here
		gauge(stateDesc, oneIf(here), state)
	}
}

// summary has no quantiles, but NaN, where nothing happened.
func summary(op Latency) prometheus.Metric {
	quantiles := map[float64]float64{0.5: op.P50MS / 1000, 0.95: op.P95MS / 1000, 0.99: op.P99MS / 1000, 1: op.MaxMS / 1000}
	if op.Count == 0 {
		for q := range quantiles {
			quantiles[q] = math.NaN()
		}
	}
	return prometheus.MustNewConstSummary(durationDesc, uint64(op.Total), op.TotalMS/1000, quantiles, op.Op, op.Store)
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// unix is 0 for a time that is not known.
func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
