// The ingress stand-in of the test bed: one for each cluster. It answers HTTP as
// an ingress controller and the pods behind it would, from what its cluster's
// API holds: KWOK's pods are ready and have addresses, but nothing listens there.
//
// A request gets
//
//	200  when an Ingress rule matches host and path, and its Service exists, has
//	     that port and at least one ready endpoint
//	503  when that Service has no ready endpoint
//	404  otherwise
//
// and always the header X-Cluster. On a host that an Ingress names, these paths
// answer whatever its rules say of paths, as long as a Service behind is ready:
// /healthz, /slow?ms=N (answers after N ms) and /stream?n=N&ms=M (N chunks, M ms
// apart). /__health is the stand-in's own: 200 once it has read everything.
//
// Annotations of an Ingress: bed.tandem.dev/body (the body of its answers, where
// ${cluster}, ${service} and ${path} are filled in), bed.tandem.dev/status (the
// status instead of 200), bed.tandem.dev/content-type.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(log.LstdFlags | log.Lmicroseconds)
	listen := flag.String("listen", "127.0.0.1:0", "address to answer on")
	cluster := flag.String("cluster", "", "name of the cluster, for X-Cluster")
	server := flag.String("server", "", "base URL of the API server")
	ca := flag.String("ca", "", "CA certificate of the API server")
	cert := flag.String("cert", "", "client certificate")
	key := flag.String("key", "", "key of the client certificate")
	flag.Parse()

	transport, err := newTransport(*ca, *cert, *key)
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()

	table := newTable()
	api := &client{base: *server, http: &http.Client{Transport: transport}}
	go watch(ctx, api, "/apis/networking.k8s.io/v1/ingresses", &table.ingresses)
	go watch(ctx, api, "/api/v1/services", &table.services)
	go watch(ctx, api, "/apis/discovery.k8s.io/v1/endpointslices", &table.slices)

	srv := &http.Server{
		Addr:              *listen,
		Handler:           &front{cluster: *cluster, table: table},
		ReadHeaderTimeout: 30 * time.Second,
		IdleTimeout:       5 * time.Minute,
	}
	go func() {
		<-ctx.Done()
		bounded, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := srv.Shutdown(bounded); err != nil {
			srv.Close()
		}
	}()
	if err := srv.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
}

func newTransport(ca, cert, key string) (*http.Transport, error) {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}},
	}, nil
}
