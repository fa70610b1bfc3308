/* SPDX-License-Identifier: Apache-2.0
   The fixed-point front end of students: 512 samples of int16 at 16 kHz in, a frame of 40 int8 out.

   The twin of oido/signal/fixed_point.py, described in docs/reference/fixed-point.md, and equal to it
   bit for bit. C99, no floating point, no allocation; 4 KB of RAM. The tables come with a student:
   `oido train … --student --c-array s.cc` writes them in front of the model. */
#include <stdint.h>

#define FFT 512
#define HALF 256
#define BANDS 40

extern const int16_t oido_window[FFT]; /* Q15 */
extern const int32_t oido_cosines[HALF + 1]; /* Q30 */
extern const int32_t oido_sines[HALF + 1];
extern const uint16_t oido_mel[]; /* Q12 */
extern const uint16_t oido_first_bins[BANDS], oido_counts[BANDS];
extern const uint16_t oido_logs[65]; /* Q12 */

static int32_t re[HALF], im[HALF];

/* Right shifts of negative numbers keep the sign, as in every compiler for microcontrollers. */
static int32_t dropped(int64_t value, int bits) {
    return (int32_t)((value + ((int64_t)1 << (bits - 1))) >> bits);
}

static uint32_t root(uint64_t value) {
    uint64_t found = 0, bit = (uint64_t)1 << 62;
    while (bit > value) bit >>= 2;
    while (bit) {
        if (value >= found + bit) {
            value -= found + bit;
            found = (found >> 1) + bit;
        } else {
            found >>= 1;
        }
        bit >>= 2;
    }
    return (uint32_t)found;
}

static void complex_fft(void) {
    for (int size = 2; size <= HALF; size *= 2) {
        int half = size / 2, step = 2 * HALF / size;
        for (int start = 0; start < HALF; start += size) {
            for (int k = 0; k < half; ++k) {
                int32_t *ar = re + start + k, *ai = im + start + k;
                int32_t *br = ar + half, *bi = ai + half;
                int64_t c = oido_cosines[k * step], s = oido_sines[k * step];
                int32_t tr = dropped(*br * c + *bi * s, 30);
                int32_t ti = dropped(*bi * c - *br * s, 30);
                *br = *ar - tr;
                *bi = *ai - ti;
                *ar += tr;
                *ai += ti;
            }
        }
    }
}

/* Twice bin k of the spectrum of the 512 real samples, as a magnitude. */
static uint32_t magnitude(int k) {
    int a = k % HALF, b = (HALF - k) % HALF;
    int64_t even_re = (int64_t)re[a] + re[b], even_im = (int64_t)im[a] - im[b];
    int64_t odd_re = (int64_t)im[a] + im[b], odd_im = (int64_t)re[b] - re[a];
    int64_t c = oido_cosines[k], s = oido_sines[k];
    int64_t x = even_re + dropped(odd_re * c + odd_im * s, 30);
    int64_t y = even_im + dropped(odd_im * c - odd_re * s, 30);
    return root((uint64_t)(x * x + y * y));
}

static int32_t log2_q12(uint64_t value) {
    int highest = 0;
    while (value >> (highest + 1)) ++highest;
    uint32_t rest = (uint32_t)((highest <= 16 ? value << (16 - highest) : value >> (highest - 16)) & 0xffff);
    int32_t low = oido_logs[rest >> 10], high = oido_logs[(rest >> 10) + 1];
    return highest * 4096 + low + dropped((int64_t)(high - low) * (rest & 1023), 10);
}

void oido_frame(const int16_t *samples, int8_t *features) {
    for (int n = 0; n < HALF; ++n) {
        int place = 0;
        for (int bit = 0; bit < 8; ++bit) place |= ((n >> bit) & 1) << (7 - bit);
        re[place] = dropped((int64_t)samples[2 * n] * oido_window[2 * n], 9);
        im[place] = dropped((int64_t)samples[2 * n + 1] * oido_window[2 * n + 1], 9);
    }
    complex_fft();
    const uint16_t *weight = oido_mel;
    for (int band = 0; band < BANDS; ++band) {
        uint64_t energy = 0;
        for (int k = 0; k < oido_counts[band]; ++k)
            energy += (uint64_t)magnitude(oido_first_bins[band] + k) * *weight++;
        int32_t level = dropped(log2_q12((energy >> 12) + 4096) - 12 * 4096, 8) - 128;
        features[band] = (int8_t)(level > 127 ? 127 : level < -128 ? -128 : level);
    }
}
