/* Reads where nothing is: the kernel ends the process and says so. */
#include <petrel.h>

int main(void)
{
    puts("about to read from a null pointer");
    petrel_flush();
    int *volatile nothing = NULL;
    return *(volatile int *)nothing;
}
