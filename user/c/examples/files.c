/* Reads a file of the init image and counts its lines: `count etc/start`. */
#include <petrel.h>

int main(int argc, char **argv)
{
    if (argc != 2) {
        puts("usage: count FILE");
        return 2;
    }
    struct petrel_file *file;
    petrel_status status = petrel_file_open(argv[1], &file);
    if (status != PETREL_OK) {
        printf("%s: %s\n", argv[1], petrel_status_text(status));
        return 1;
    }
    char part[100];
    size_t bytes, lines = 0;
    uint64_t offset = 0;
    do {
        status = petrel_file_read(file, offset, part, sizeof part, &bytes);
        if (status != PETREL_OK) {
            printf("%s: %s\n", argv[1], petrel_status_text(status));
            return 1;
        }
        for (size_t at = 0; at < bytes; at++)
            lines += part[at] == '\n';
        offset += bytes;
    } while (bytes == sizeof part);
    printf("%zu lines in %lu bytes\n", lines, petrel_file_size(file));
    petrel_file_close(file);
    return 0;
}
