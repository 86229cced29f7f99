# make help shows what there is.

GO       ?= go
FUZZTIME ?= 1s
PREFIX   ?= /usr/local
SYSTEMS  := linux darwin windows freebsd
TOOL     := $(GO) tool -modfile=tools/go.mod
TALLY    := $(GO) -C tools run ./tally
say       = @echo "== $(1)"

# The race detector is written in C++ and links as C.
RACE      = $(shell [ "$$($(GO) env CGO_ENABLED)" = 1 ] && echo -race)

MODULES   = $(dir $(shell find . -name go.mod -not -path '*/testdata/*'))

# Tests need no version, and git refuses to tell it of somebody else's clone.
# Without the paths of this machine a package compiles once, for copies of the
# tree too.
export GOFLAGS := $(GOFLAGS) -buildvcs=false -trimpath

# What is built once serves all that follows, and it is built as it is shipped.
portable vet staticcheck imports fuzz check-user lab: export CGO_ENABLED := 0

help: ## show this text
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

build: ## bin/towpath, for this machine
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=auto -pgo=cmd/towpath/towpath.pgo -o bin/ ./cmd/towpath

# What the compiler is told of how the program runs, which saves it a tenth of
# its time. It is not called default.pgo: then each test would compile all
# dependencies once more.
profile: ## cmd/towpath/towpath.pgo anew
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && \
		python3 bench/genftp.py "$$dir/pcap" --manifest "$$dir/json" --sessions 5000 --bytes 10240000 && \
		TOWPATH_CAPTURE="$$dir/pcap" $(GO) test -run '^$$' -bench Explain/let -benchtime 8s -o "$$dir/test" -cpuprofile "$$dir/explain.prof" ./explain && \
		for room in ftp ftpserver gateway storage/disk; do \
			$(GO) test -run '^$$' -bench . -benchtime 0.3s -o "$$dir/test" -cpuprofile "$$dir/$$(basename $$room).prof" ./$$room || exit 1; \
		done && \
		$(GO) tool pprof -proto "$$dir"/*.prof > cmd/towpath/towpath.pgo

test: ## everything: installs the programs that the tests talk to (root on Debian), then the gate
	$(call say,programs that the tests talk to)
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then tools/peers.sh install; fi
	@tools/peers.sh
	@$(MAKE) --no-print-directory static fuzz
	@if [ "$$(id -u)" = 0 ]; then $(MAKE) --no-print-directory check-user; fi
	@$(MAKE) --no-print-directory race lab
	@tools/peers.sh

check: static fuzz race ## the gate: all that needs nothing installed

static: portable format vet staticcheck tidy imports # what can be said without running anything

portable: # every system, without cgo
	$(call say,builds without cgo)
	@for os in $(SYSTEMS); do echo $$os; GOOS=$$os $(GO) build -o /dev/null ./... || exit 1; done

format: # gofumpt
	$(call say,gofumpt)
	@bad=$$($(TOOL) gofumpt -l .) && [ -z "$$bad" ] || { echo "not as gofumpt writes it; make fmt does it:"; echo "$$bad"; exit 1; }

fmt: ## write all Go files as gofumpt does
	$(TOOL) gofumpt -w .

vet: # go vet, for each system
	$(call say,go vet)
	@for os in $(SYSTEMS); do echo $$os; GOOS=$$os $(GO) vet ./... || exit 1; done
	@$(GO) -C tools vet ./...

staticcheck: # honnef.co/go/tools
	$(call say,staticcheck)
	@$(TOOL) staticcheck ./...
	@program=$$($(TOOL) -n staticcheck) && for os in darwin windows; do echo $$os; GOOS=$$os $$program -tests=false ./... || exit 1; done

tidy: # go.mod and go.sum say what is needed and no more
	$(call say,go mod tidy)
	@for dir in $(MODULES); do $(GO) -C $$dir mod tidy -diff || exit 1; done

# A program that imports ftpserver takes in the standard library, x/sys and
# ours; in particular no S3, no database and no command line library. (That our
# own rooms import each other one way only is tested in docs.)
imports: # what ftpserver alone links
	$(call say,what ftpserver links)
	@extra=$$(for os in $(SYSTEMS); do GOOS=$$os $(GO) list -deps -f '{{if not .Standard}}{{.ImportPath}}{{end}}' ./ftpserver || echo "$$os: go list failed"; done \
		| grep -vE '^(golang\.org/x/sys/|towpath/(ftp|ftp/listing|ftpserver|storage|internal/(alive|headway|ports|records|resume|roster|transcript))$$)' | sort -u); \
		[ -z "$$extra" ] || { echo "ftpserver links what it should not:"; echo "$$extra"; exit 1; }

fuzz: ## each fuzz target for FUZZTIME (1s)
	$(call say,fuzz targets)
	@$(GO) -C tools run ./fuzz -dir .. -time $(FUZZTIME)

# A program that ends waits a second for races that are still to be told, and
# scripts start hundreds of programs: a twentieth is enough.
race: export GORACE ?= atexit_sleep_ms=50
race: # all tests, under the race detector
	$(call say,tests $(if $(RACE),under the race detector,without the race detector: it needs a C compiler))
	@$(TALLY) -dir .. go test -json -shuffle=on $(RACE) ./...
	@$(GO) -C tools test ./...

# Root may do what users may not. The tests are built by whoever runs this, and
# run as the user nobody, in a copy of the tree that belongs to him and holds
# all modules, since he cannot look into root's. So is the program that the
# clients of others talk to: he would compile everything anew.
check-user: ## all tests again as the user nobody (root only)
	$(call say,tests as an ordinary user)
	@[ "$$(id -u)" = 0 ] || { echo "only root can become somebody else; make race is the same for you"; exit 1; }
	@copy=$$(mktemp -d) && trap 'rm -rf "$$copy"' EXIT && \
		tar -c --exclude=./.git --exclude=./bin . | tar -xC "$$copy" && \
		$(GO) -C "$$copy" mod vendor && mkdir "$$copy/.cache" && \
		$(GO) -C "$$copy" build -o .cache/towpath ./cmd/towpath && \
		chown -R 65534:65534 "$$copy" && chmod 755 "$$copy" && \
		NOBODY_CACHE="$$copy/.cache" TOWPATH_BINARY="$$copy/.cache/towpath" $(TALLY) -dir "$$copy" go test -json -exec "$$copy/tools/as-nobody.sh" ./...

lab: ## every network of the catalogue built for real, and compared with the prediction
	$(call say,predicted and observed)
	@$(GO) run ./cmd/towpath lab run all

cover: ## coverage.html, and the sum
	$(GO) test -coverpkg=./... -coverprofile=coverage.out ./...
	$(GO) tool cover -html=coverage.out -o coverage.html
	@$(GO) tool cover -func=coverage.out | tail -1

man: ## write the tables of docs/man anew, from the flags and keys that there are
	$(GO) test ./cmd/towpath -run '^TestManual' -count=1 -write-man
	@if command -v mandoc >/dev/null; then mandoc -T lint -W warning docs/man/*; fi

install: build ## to PREFIX (/usr/local): program, manual, completion
	install -D -m 755 bin/towpath $(DESTDIR)$(PREFIX)/bin/towpath
	install -d $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/man/man5
	install -m 644 docs/man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 docs/man/*.5 $(DESTDIR)$(PREFIX)/share/man/man5
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions \
		$(DESTDIR)$(PREFIX)/share/zsh/site-functions $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	bin/towpath completion bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/towpath
	bin/towpath completion zsh > $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_towpath
	bin/towpath completion fish > $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/towpath.fish

clean: ## remove what was built
	rm -rf bin coverage.out coverage.html

.PHONY: help build profile test check static portable format fmt vet staticcheck tidy imports fuzz race check-user lab cover man install clean
