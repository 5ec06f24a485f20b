module indelible/test/interop/ed25519

go 1.21
