package govcd

import (
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics counts every request by method and route. Labels are bounded: the
// methods of HTTP and "OTHER", the patterns of the table and "unmatched".
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.CounterVec
	inFlight prometheus.Gauge
	handler  http.Handler
}

func newMetrics(s *Service) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "govc_http_requests_total", Help: "HTTP requests answered.",
		}, []string{"method", "path", "status"}),
		seconds: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "govc_http_request_duration_seconds", Help: "Seconds spent on HTTP requests, in all.",
		}, []string{"method", "path"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "govc_http_requests_in_flight", Help: "HTTP requests being served.",
		}),
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(m.requests, m.seconds, m.inFlight)
	gauge := func(name, help string, read func() float64) {
		registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read))
	}
	counter := func(name, help string, read func() float64) {
		registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, read))
	}
	gauge("govc_repositories_total", "Repositories.", func() float64 { return float64(s.count()) })
	gauge("govc_transactions_active", "Transactions under way; this service has none.", func() float64 { return 0 })
	gauge("govc_content_bytes", "Bytes kept in all repositories, estimated overhead included.", func() float64 { return float64(s.stored.Load()) })
	gauge("govc_degraded", "1 while the service asks for its operator, 2 while it is unhealthy; /health says why.", func() float64 {
		_, worst := s.checks()
		return float64(worst)
	})
	counter("govc_uptime_seconds", "Seconds since the start.", func() float64 { return s.uptime().Seconds() })
	gauge("govc_last_metrics_update_timestamp_seconds", "Unix time of this answer.",
		func() float64 { return float64(s.now().UnixNano()) / float64(time.Second) })
	gauge("go_memstats_alloc_bytes", "Bytes allocated and in use.", func() float64 { return float64(readMemory().live) })
	counter("go_memstats_total_alloc_bytes", "Bytes allocated since the start.", func() float64 { return float64(readMemory().allocated) })
	gauge("go_memstats_sys_bytes", "Bytes obtained from the system.", func() float64 { return float64(readMemory().system) })
	gauge("go_goroutines", "Goroutines.", func() float64 { return float64(runtime.NumGoroutine()) })
	counter("go_memstats_gc_total", "Garbage collections.", func() float64 { return float64(readMemory().collections) })
	m.handler = promhttp.HandlerFor(registry, promhttp.HandlerOpts{DisableCompression: true})
	return m
}

func (s *Service) serveMetrics(w http.ResponseWriter, r *http.Request, _ target) error {
	s.metrics.handler.ServeHTTP(w, r)
	return nil
}

// begin counts a request in and returns how to count it out.
func (m *metrics) begin(method, pattern string) func(status int) {
	switch method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodHead, http.MethodOptions, http.MethodPatch:
	default:
		method = "OTHER"
	}
	start := time.Now()
	m.inFlight.Inc()
	return func(status int) {
		m.inFlight.Dec()
		m.requests.WithLabelValues(method, pattern, strconv.Itoa(status)).Inc()
		m.seconds.WithLabelValues(method, pattern).Add(sinceSeconds(start))
	}
}
