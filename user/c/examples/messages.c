/*
 * A server and its clients, as threads of one process: messages of eight words, a handle that travels
 * in one, memory that both sides map, a reply that is given later, and a timer.
 */
#include <petrel.h>

#define CLIENTS 3
#define ROUNDS 200

enum { ADD = 1, SHARE = 2, LATER = 3, STOP = 4 };

static petrel_handle service;
static petrel_handle saved; /* signalled when an answer is put off */
static petrel_handle self;

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            printf("line %d: %s is not so\n", __LINE__, #condition);                               \
            petrel_exit(1);                                                                        \
        }                                                                                          \
    } while (0)

/* Maps memory, writes a word into it, and unmaps it again. */
static void write_into(petrel_handle memory, uint64_t word)
{
    uint64_t bytes, address;
    CHECK(petrel_memory_inspect(memory, 0, NULL, &bytes) == PETREL_OK && bytes == PETREL_PAGE);
    struct petrel_mapping mapping = {
        .memory = memory,
        .rights = PETREL_RIGHT_READ | PETREL_RIGHT_WRITE,
        .bytes = bytes,
    };
    CHECK(petrel_memory_map(self, &mapping, &address) == PETREL_OK);
    *(volatile uint64_t *)address = word;
    CHECK(petrel_memory_unmap(self, address, bytes) == PETREL_OK);
}

static void serve(void *unused)
{
    (void)unused;
    struct petrel_message message = { .info = 0 };
    petrel_handle waiting = PETREL_NO_HANDLE;
    petrel_status status = petrel_receive(service, &message, PETREL_FOREVER);
    for (;;) {
        CHECK(status == PETREL_OK);
        switch (petrel_info_label(message.info)) {
        case ADD:
            CHECK(petrel_info_words(message.info) == 8);
            for (int word = 1; word < 8; word++)
                message.words[0] += message.words[word];
            message.words[1] = message.badge;
            message.info = petrel_info(ADD, 2, 0);
            break;
        case SHARE:
            CHECK(petrel_info_handles(message.info) == 1);
            write_into(message.handles[0], message.words[0]);
            petrel_handle_close(message.handles[0]);
            message.info = petrel_info(SHARE, 0, 0);
            break;
        case LATER:
            /* The next one gets its answer first. */
            CHECK(petrel_save_reply(&waiting) == PETREL_OK);
            CHECK(petrel_signal(saved, 1) == PETREL_OK);
            status = petrel_receive(service, &message, PETREL_FOREVER);
            continue;
        case STOP:
            message.words[0] = 7;
            message.info = petrel_info(LATER, 1, 0);
            CHECK(petrel_reply(waiting, &message) == PETREL_OK);
            CHECK(petrel_reply(waiting, &message) == PETREL_ERROR_BAD_HANDLE);
            message.info = petrel_info(STOP, 0, 0);
            CHECK(petrel_reply(PETREL_NO_HANDLE, &message) == PETREL_OK);
            return;
        default:
            CHECK(!"a known label");
        }
        status = petrel_reply_receive(service, &message, PETREL_FOREVER);
    }
}

/* Calls with a badge of its own. */
static void add(void *argument)
{
    uint64_t badge = (uintptr_t)argument;
    petrel_handle sender;
    CHECK(petrel_handle_duplicate(service, PETREL_RIGHT_SEND | PETREL_RIGHT_CALL, badge, &sender) ==
          PETREL_OK);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        struct petrel_message message = {
            .words = { 1, 2, 3, 4, 5, 6, 7, round },
            .info = petrel_info(ADD, 8, 0),
        };
        CHECK(petrel_message_call(sender, &message, PETREL_FOREVER) == PETREL_OK);
        CHECK(message.words[0] == 28 + round && message.words[1] == badge);
    }
    struct petrel_message message = { .info = 0 };
    CHECK(petrel_receive(sender, &message, PETREL_AT_ONCE) == PETREL_ERROR_NO_RIGHT);
    CHECK(petrel_handle_close(sender) == PETREL_OK);
}

static void wait_for_later(void *unused)
{
    (void)unused;
    struct petrel_message message = { .info = petrel_info(LATER, 0, 0) };
    CHECK(petrel_message_call(service, &message, PETREL_FOREVER) == PETREL_OK);
    CHECK(petrel_info_label(message.info) == LATER && message.words[0] == 7);
}

/* Gives a page away in a message; this side keeps a second handle of it. */
static void share(void)
{
    petrel_handle memory, copy;
    CHECK(petrel_memory_create(PETREL_PAGE, PETREL_MEMORY_NORMAL, &memory) == PETREL_OK);
    CHECK(petrel_handle_duplicate(memory, PETREL_RIGHT_ALL, 0, &copy) == PETREL_OK);
    struct petrel_message message = {
        .words = { 0x600df00d },
        .info = petrel_info(SHARE, 1, 1),
        .handles = { copy },
    };
    CHECK(petrel_message_call(service, &message, PETREL_FOREVER) == PETREL_OK);
    CHECK(petrel_handle_inspect(copy, NULL, NULL, NULL) == PETREL_ERROR_BAD_HANDLE);
    struct petrel_mapping mapping = {
        .memory = memory,
        .rights = PETREL_RIGHT_READ,
        .bytes = PETREL_PAGE,
    };
    uint64_t address, kind;
    CHECK(petrel_memory_map(self, &mapping, &address) == PETREL_OK);
    CHECK(*(volatile uint64_t *)address == 0x600df00d);
    CHECK(petrel_handle_inspect(memory, &kind, NULL, NULL) == PETREL_OK);
    CHECK(kind == PETREL_KIND_MEMORY);
}

int main(void)
{
    struct petrel_thread server, clients[CLIENTS], patient;
    self = petrel_granted("process");
    CHECK(petrel_endpoint_create(&service) == PETREL_OK);
    CHECK(petrel_notification_create(&saved) == PETREL_OK);
    CHECK(petrel_spawn(&server, serve, NULL, NULL) == PETREL_OK);

    for (uintptr_t client = 0; client < CLIENTS; client++)
        CHECK(petrel_spawn(&clients[client], add, (void *)(client + 1), NULL) == PETREL_OK);
    for (int client = 0; client < CLIENTS; client++)
        CHECK(petrel_join(&clients[client]) == PETREL_OK);
    share();

    petrel_handle timer;
    uint64_t bits = 0, before = petrel_now();
    CHECK(petrel_notification_create(&timer) == PETREL_OK);
    CHECK(petrel_wait(timer, PETREL_AT_ONCE, &bits) == PETREL_ERROR_TIMED_OUT);
    CHECK(petrel_timer_set(timer, petrel_after_us(2000), 4) == PETREL_OK);
    CHECK(petrel_wait(timer, PETREL_FOREVER, &bits) == PETREL_OK && bits == 4);
    CHECK(petrel_ticks_to_us(petrel_now() - before) >= 2000);

    CHECK(petrel_spawn(&patient, wait_for_later, NULL, NULL) == PETREL_OK);
    CHECK(petrel_wait(saved, PETREL_FOREVER, &bits) == PETREL_OK);
    struct petrel_message stop = { .info = petrel_info(STOP, 0, 0) };
    CHECK(petrel_message_call(service, &stop, PETREL_FOREVER) == PETREL_OK);
    CHECK(petrel_join(&patient) == PETREL_OK && petrel_join(&server) == PETREL_OK);

    struct petrel_process_report report;
    CHECK(petrel_process_report(self, &report) == PETREL_OK);
    CHECK(report.state == PETREL_PROCESS_ALIVE && report.threads == 1);
    printf("%d messages, and %u handles are left\n", CLIENTS * ROUNDS + 3, report.handles);
    return 0;
}
