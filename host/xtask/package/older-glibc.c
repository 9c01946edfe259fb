/* Linked into the program and into FFmpeg's libraries for the archive: what would need a later
   glibc than the rest of them does. hypot has a new version since 2.35, which is all that does. */

#if defined(__x86_64__)
#define FIRST "GLIBC_2.2.5"
#elif defined(__aarch64__)
#define FIRST "GLIBC_2.17"
#endif

#ifdef FIRST
double first_hypot(double, double);
float first_hypotf(float, float);
__asm__(".symver first_hypot, hypot@" FIRST);
__asm__(".symver first_hypotf, hypotf@" FIRST);

/* Hidden: an exported one would be found by the dynamic linker when it looks for glibc's. */
__attribute__((visibility("hidden"))) double hypot(double x, double y) { return first_hypot(x, y); }
__attribute__((visibility("hidden"))) float hypotf(float x, float y) { return first_hypotf(x, y); }
#endif
