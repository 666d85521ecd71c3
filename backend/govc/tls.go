package govc

// TLSOptions say how a service behind https is known. Files hold PEM.
type TLSOptions struct {
	CAFile     string // certificates that are trusted instead of the system's; "" is the system's
	CertFile   string // of the client, with those in between; "" shows none
	KeyFile    string // of the client's certificate
	ServerName string // in the service's certificate; "" is the host of the URL
	// Insecure takes any certificate, whoever shows it. It needs AllowInsecure,
	// too, so that no single switch does it.
	Insecure, AllowInsecure bool
}
