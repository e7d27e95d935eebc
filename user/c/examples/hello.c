/*
 * Says hello, then lets four threads count together and tell, by a notification, when each is done.
 */
#include <petrel.h>

#define THREADS 4
#define ROUNDS 1000

static struct petrel_mutex mutex = PETREL_MUTEX;
static uint64_t total;
static petrel_handle done;

/* Each thread has its own. */
static _Thread_local uint64_t mine;

static void count(void *argument)
{
    uint64_t number = (uintptr_t)argument;
    for (int round = 0; round < ROUNDS; round++) {
        petrel_mutex_lock(&mutex);
        total += number;
        petrel_mutex_unlock(&mutex);
        mine += number;
    }
    if (mine != number * ROUNDS)
        petrel_exit(2);
    /* Bits of a notification add up until somebody takes them. */
    petrel_signal(done, UINT64_C(1) << number);
}

int main(int argc, char **argv)
{
    printf("hello from %s, with %d arguments\n", argv[0], argc - 1);
    for (int index = 1; index < argc; index++)
        printf("  %2d: %s\n", index, argv[index]);

    petrel_status status = petrel_notification_create(&done);
    if (status != PETREL_OK) {
        printf("no notification: %s\n", petrel_status_text(status));
        return 1;
    }

    struct petrel_thread threads[THREADS];
    uint64_t awaited = 0;
    for (uintptr_t number = 0; number < THREADS; number++) {
        status = petrel_spawn(&threads[number], count, (void *)(number + 1), NULL);
        if (status != PETREL_OK) {
            printf("no thread: %s\n", petrel_status_text(status));
            return 1;
        }
        awaited |= UINT64_C(2) << number;
    }

    for (uint64_t arrived = 0; arrived != awaited;) {
        uint64_t bits = 0;
        status = petrel_wait(done, petrel_after_us(60 * 1000 * 1000), &bits);
        if (status != PETREL_OK) {
            printf("waiting for %#lx: %s\n", awaited & ~arrived, petrel_status_text(status));
            return 1;
        }
        arrived |= bits;
    }
    for (int number = 0; number < THREADS; number++)
        petrel_join(&threads[number]);

    char *text = malloc(100);
    snprintf(text, 100, "%d threads counted to %lu, %.1f in the mean", THREADS, total,
             (double)total / THREADS);
    puts(text);
    free(text);
    return total == ROUNDS * (1 + 2 + 3 + 4) ? 0 : 3;
}
