package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Auth0 makes the two calls that an object needs.
type Auth0 struct {
	client *http.Client
	domain string
	token  string
}

// RateLimited is a 429, with the time to wait.
type RateLimited struct {
	After time.Duration
}

func (e RateLimited) Error() string {
	return fmt.Sprintf("rate limit reached, next try in %s", e.After)
}

// NewAuth0 makes a client for a tenant whose certificate this authority signed.
func NewAuth0(domain, token string, caPEM []byte) (*Auth0, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(caPEM) {
		return nil, errors.New("no certificate in the CA file")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	// One for each worker; with the default of two, nearly every call over HTTP/1.1 would open a connection.
	transport.MaxIdleConnsPerHost = workers
	client := &http.Client{Timeout: 30 * time.Second, Transport: transport}
	return &Auth0{client: client, domain: domain, token: token}, nil
}

// RemoveRoles removes roles from a user.
func (a *Auth0) RemoveRoles(ctx context.Context, user string, roles []string, correlation string) error {
	body, err := json.Marshal(map[string][]string{"roles": roles})
	if err != nil {
		return err
	}
	_, err = a.call(ctx, http.MethodDelete, rolesPath(user), body, correlation)
	return err
}

// HasAnyRole says whether the user still has one of the roles. It reads one page, which is enough for the few roles
// here.
func (a *Auth0) HasAnyRole(ctx context.Context, user string, roles []string) (bool, error) {
	answer, err := a.call(ctx, http.MethodGet, rolesPath(user)+"?per_page=50", nil, "")
	if err != nil {
		return false, err
	}
	var held []struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(answer, &held); err != nil {
		return false, err
	}
	for _, role := range held {
		for _, named := range roles {
			if role.ID == named {
				return true, nil
			}
		}
	}
	return false, nil
}

func rolesPath(user string) string {
	return "/api/v2/users/" + url.PathEscape(user) + "/roles"
}

func (a *Auth0) call(ctx context.Context, method, path string, body []byte, correlation string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, "https://"+a.domain+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+a.token)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if correlation != "" {
		request.Header.Set("X-Correlation-ID", correlation)
	}
	answer, err := a.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	switch {
	case answer.StatusCode == http.StatusTooManyRequests:
		return nil, RateLimited{After: untilReset(answer.Header, time.Now())}
	case answer.StatusCode >= 300:
		return nil, fmt.Errorf("%s %s: status %d", method, path, answer.StatusCode)
	}
	return text, nil
}

// untilReset is the time that Auth0 asks to wait, at least a second.
func untilReset(header http.Header, now time.Time) time.Duration {
	reset, err := strconv.ParseInt(header.Get("X-RateLimit-Reset"), 10, 64)
	if err != nil {
		return time.Second
	}
	return max(time.Second, time.Unix(reset, 0).Sub(now))
}
