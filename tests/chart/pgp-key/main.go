// Writes a throw-away OpenPGP key without passphrase to two keyrings: secret.gpg and public.gpg in the folder given.
package main

import (
	"io"
	"log"
	"os"
	"path/filepath"

	"github.com/ProtonMail/go-crypto/openpgp"
)

func main() {
	entity, err := openpgp.NewEntity("Rescind test", "", "test@rescind.example", nil)
	if err != nil {
		log.Fatal(err)
	}
	secret := func(file io.Writer) error { return entity.SerializePrivate(file, nil) }
	write("secret.gpg", secret)
	write("public.gpg", func(file io.Writer) error { return entity.Serialize(file) })
}

func write(name string, serialize func(io.Writer) error) {
	file, err := os.OpenFile(filepath.Join(os.Args[1], name), os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		err = serialize(file)
	}
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		log.Fatal(err)
	}
}
