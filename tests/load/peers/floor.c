/* The floor of the density benchmark: per 20 ms and session one packet received, deciphered and decoded to 16 kHz
 * mono, and 20 ms of 24 kHz mono encoded (low delay, complexity 0), ciphered and sent; nothing else.
 * usage: floor LIBOPUS AGENT.s16 CALLER.opus    prints milliseconds of CPU per session-second */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum { SESSIONS = 100, ROUNDS = 400, FRAME = 480, HEADER = 12, TAG = 16, MAX_PACKET = 1500 };
enum { RESTRICTED_LOWDELAY = 2051, SET_BITRATE = 4002, SET_COMPLEXITY = 4010 };

typedef void *(*create_encoder)(int32_t, int, int, int *);
typedef void *(*create_decoder)(int32_t, int, int *);
typedef int (*control)(void *, int, ...);
typedef int32_t (*encode_frame)(void *, const int16_t *, int, unsigned char *, int32_t);
typedef int (*decode_frame)(void *, const unsigned char *, int32_t, int16_t *, int, int);

static double cpu_seconds(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6;
}

static unsigned char *read_file(const char *name, long *size) {
    FILE *file = fopen(name, "rb");
    if (!file) { perror(name); exit(1); }
    fseek(file, 0, SEEK_END);
    *size = ftell(file);
    rewind(file);
    unsigned char *content = malloc((size_t)*size);
    if (fread(content, 1, (size_t)*size, file) != (size_t)*size) exit(1);
    fclose(file);
    return content;
}

int main(int count, char **arguments) {
    if (count != 4) return 2;
    void *opus = dlopen(arguments[1], RTLD_NOW);
    if (!opus) { fprintf(stderr, "%s\n", dlerror()); return 1; }
    create_encoder make_encoder = (create_encoder)dlsym(opus, "opus_encoder_create");
    create_decoder make_decoder = (create_decoder)dlsym(opus, "opus_decoder_create");
    control set = (control)dlsym(opus, "opus_encoder_ctl");
    encode_frame encode = (encode_frame)dlsym(opus, "opus_encode");
    decode_frame decode = (decode_frame)dlsym(opus, "opus_decode");

    long agent_bytes, caller_bytes;
    int16_t *agent = (int16_t *)read_file(arguments[2], &agent_bytes);
    unsigned char *caller = read_file(arguments[3], &caller_bytes);
    long frames = agent_bytes / (FRAME * 2), packets = 0;
    unsigned char **payload = malloc(sizeof *payload * (size_t)caller_bytes);
    int *payload_size = malloc(sizeof *payload_size * (size_t)caller_bytes);
    for (long at = 0; at + 2 < caller_bytes; at += 2 + payload_size[packets++]) {
        payload_size[packets] = caller[at] | caller[at + 1] << 8;
        payload[packets] = caller + at + 2;
    }

    void *encoder[SESSIONS], *decoder[SESSIONS];
    EVP_CIPHER_CTX *sealing[SESSIONS], *opening[SESSIONS];
    unsigned char key[16] = {1}, nonce[12] = {2};
    int error;
    for (int i = 0; i < SESSIONS; i++) {
        encoder[i] = make_encoder(24000, 1, RESTRICTED_LOWDELAY, &error);
        set(encoder[i], SET_BITRATE, 32000);
        set(encoder[i], SET_COMPLEXITY, 0);
        decoder[i] = make_decoder(16000, 1, &error);
        sealing[i] = EVP_CIPHER_CTX_new();
        EVP_EncryptInit_ex(sealing[i], EVP_aes_128_gcm(), 0, key, nonce);
        opening[i] = EVP_CIPHER_CTX_new();
        EVP_DecryptInit_ex(opening[i], EVP_aes_128_gcm(), 0, key, nonce);
    }

    int udp = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in self = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t self_size = sizeof self;
    bind(udp, (struct sockaddr *)&self, sizeof self);
    getsockname(udp, (struct sockaddr *)&self, &self_size);

    /* A packet goes to ourselves: one send and one receive per cycle, as a server has. */
    unsigned char packet[MAX_PACKET], plain[MAX_PACKET], encoded[MAX_PACKET];
    int16_t pcm[1920];
    double began = cpu_seconds();
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < SESSIONS; i++) {
            long k = (round + i * 37L) % packets;
            int size = payload_size[k], done, tail;
            memcpy(packet + HEADER, payload[k], (size_t)size);
            sendto(udp, packet, (size_t)(HEADER + size + TAG), 0, (struct sockaddr *)&self, self_size);
            struct sockaddr_in from;
            socklen_t from_size = sizeof from;
            recvfrom(udp, packet, sizeof packet, 0, (struct sockaddr *)&from, &from_size);
            EVP_DecryptInit_ex(opening[i], 0, 0, 0, nonce);
            EVP_DecryptUpdate(opening[i], 0, &done, packet, HEADER);
            EVP_DecryptUpdate(opening[i], plain, &done, packet + HEADER, size);
            decode(decoder[i], payload[k], size, pcm, 1920, 0);
            int length = encode(encoder[i], agent + (round + i * 37L) % frames * FRAME, FRAME, encoded, MAX_PACKET - 64);
            EVP_EncryptInit_ex(sealing[i], 0, 0, 0, nonce);
            EVP_EncryptUpdate(sealing[i], 0, &done, packet, HEADER);
            EVP_EncryptUpdate(sealing[i], plain, &done, encoded, length);
            EVP_EncryptFinal_ex(sealing[i], plain + done, &tail);
            EVP_CIPHER_CTX_ctrl(sealing[i], EVP_CTRL_GCM_GET_TAG, TAG, plain + done);
        }
    }
    double per_cycle = (cpu_seconds() - began) / ROUNDS / SESSIONS;
    printf("%.4f\n", per_cycle * 50 * 1000);
    return 0;
}
