module indelible.test/interop

go 1.26.0

require (
	github.com/bufbuild/protocompile v0.14.1
	github.com/google/certificate-transparency-go v1.3.3
	github.com/transparency-dev/merkle v0.0.2
	golang.org/x/mod v0.42.0
	google.golang.org/protobuf v1.36.11
)

require (
	golang.org/x/crypto v0.48.0 // indirect
	golang.org/x/sync v0.19.0 // indirect
)
