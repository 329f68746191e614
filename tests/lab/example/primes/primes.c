#include <stdio.h>
#include <stdlib.h>

static int is_prime(int n)
{
    for (int d = 2; d * d <= n; d++)
        if (n % d == 0)
            return 0;
    return n > 1;
}

int main(int argc, char **argv)
{
    int below = argc > 1 ? atoi(argv[1]) : 100, count = 0;
    for (int n = 0; n < below; n++)
        count += is_prime(n);
    printf("%d\n", count);
    return 0;
}
