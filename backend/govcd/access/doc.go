// Package access decides who a request to the service comes from and what it
// may do.
//
// There are three modes. Open: no credential is set up, whoever reaches the
// service may do everything, and New refuses it where other machines reach it.
// Key: one admin key (GOVC_API_KEY). Managed: JSON web tokens, API keys and
// grants; it begins with a JWT secret or with the first access file, also while
// the service runs, and never goes back to open: without its file nobody has
// an API key or a grant. That holds across restarts, too: a folder remembers what
// its service asked for (Trace), and New refuses to be open there (ErrLost)
// until somebody says that this is meant (Register.Forget).
//
// Credentials. A token is signed with HS256, HS384 or HS512 by one of at most
// two secrets of 32 bytes or more; "exp" is required, issuer and audience are
// ours, clocks may differ by 30 s. An API key is "caia_", 32 random bytes and a
// checksum in hexadecimal; only its SHA-256 is kept. They are read from
// "Authorization: Bearer" and from "X-API-Key", and for git from basic
// authentication; never from a URL or a cookie. There is no login with a
// password: ErrNoPassword says so.
//
// Rights. A credential may carry scopes, and its subject (the token's "sub", the
// key's name) may have grants; what it may do is the union of both. Each names a
// repository, a prefix ("team-*") or all ("*"), and read, write or admin, of
// which each includes those before. The service itself (Service) is covered
// by "*" only.
//
// An error tells who it is not known to be (ErrUnauthenticated, 401) apart from
// what it may not do (ErrForbidden, 403) and from too many requests (ErrLimited,
// 429). Requests, and more strictly failing credentials, are limited by the
// address of the connection's other end; headers that name another address are
// not believed, so that behind a proxy all callers share one address.
//
// The access file is read again when it changed, which is looked at once a
// second on use: a revoked key works for a second at most. A file that cannot be
// read or is wrong stops the start; while the service runs the contents before
// stay in force, and Problem tells of it.
//
// Nothing in this package prints, logs or stores a secret: they are
// config.Secret.
package access
