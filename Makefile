# Two commands: `make demo` and `make test`. Both do all set-up by themselves on Debian 12.
BUILD ?= build

.PHONY: all demo test setup check bench clean

all: setup
	@[ -f $(BUILD)/build.ninja ] || meson setup $(BUILD) --buildtype=debugoptimized >/dev/null
	@ninja -C $(BUILD) --quiet

demo: all
	@tests/bed/build
	@$(BUILD)/src/cli/tandem demo $(DEMO_ARGS)

# Everything that has to hold: static checks, unit, command line and bed tests, sanitizers.
test: all
	@tests/bed/build
	@tests/run

setup:
	@scripts/setup

bench: all
	@tests/bed/build
	@tests/bench/migrate

check:
	@scripts/check

clean:
	rm -rf build build-*
