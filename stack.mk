# The stack of docker-compose.yml: needs Docker with its compose plugin, and nothing else.
.PHONY: stack-up stack-down stack-test

stack-up:  ## secrets on first use, the image, then everything until it is healthy
	@sh docker/up.sh

stack-down:  ## stops everything; databases, artifacts and the working folder stay
	@docker compose down

stack-test:  ## a second stack of its own, tried out and removed again
	@$(or $(PYTHON),python3) docker/stack_test.py
