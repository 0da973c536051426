using System.Buffers;
using System.Buffers.Text;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using CaptionService.Api.Fetch;

namespace CaptionService.Api.Captions;

/// <summary>The JSON way in: photos, and every other property an option.</summary>
internal sealed class JsonCaptionRequest
{
    public JsonPhoto?[]? Images { get; init; }

    /// <summary>One photo, as many write it.</summary>
    public JsonPhoto? Image { get; init; }

    [JsonExtensionData]
    public Dictionary<string, JsonElement>? Options { get; init; }
}

/// <summary>A photo: an object with its name and its data or address, or one of these alone.</summary>
[JsonConverter(typeof(Converter))]
internal sealed record JsonPhoto(string? Name, Base64Bytes? Data, string? Url)
{
    private sealed record Members(string? Name, Base64Bytes? Data, string? Url);

    private sealed class Converter : JsonConverter<JsonPhoto>
    {
        public override JsonPhoto? Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
        {
            if (reader.TokenType == JsonTokenType.String)
            {
                bool isShort = (reader.HasValueSequence ? reader.ValueSequence.Length : reader.ValueSpan.Length) <= FetchOptions.MaxUrlLength;
                return isShort && reader.GetString()! is var text && text.StartsWith("http", StringComparison.OrdinalIgnoreCase) && text.Contains("://", StringComparison.Ordinal)
                    ? new JsonPhoto(null, null, text)
                    : new JsonPhoto(null, JsonSerializer.Deserialize<Base64Bytes>(ref reader, options), null);
            }
            return JsonSerializer.Deserialize<Members>(ref reader, options) is { } members ? new JsonPhoto(members.Name, members.Data, members.Url) : null;
        }

        public override void Write(Utf8JsonWriter writer, JsonPhoto value, JsonSerializerOptions options) => throw new NotSupportedException();
    }
}

/// <summary>Bytes that came as base64 or as a data: URL; null where they were neither.</summary>
[JsonConverter(typeof(Converter))]
internal sealed record Base64Bytes(byte[]? Bytes)
{
    private sealed class Converter : JsonConverter<Base64Bytes>
    {
        private const int MaxPadding = 3;

        // Straight from the body's UTF-8 to bytes: a string of 27 million characters is never made.
        public override Base64Bytes Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
        {
            if (reader.TokenType != JsonTokenType.String)
                throw new JsonException();
            int length = reader.HasValueSequence ? checked((int)reader.ValueSequence.Length) : reader.ValueSpan.Length;
            byte[] rented = ArrayPool<byte>.Shared.Rent(length + MaxPadding);
            try
            {
                return new Base64Bytes(Decode(rented, reader.CopyString(rented)));    // CopyString undoes escapes such as \/
            }
            catch (InvalidOperationException invalidUtf8)
            {
                throw new JsonException(null, invalidUtf8);
            }
            finally
            {
                ArrayPool<byte>.Shared.Return(rented);
            }
        }

        public override void Write(Utf8JsonWriter writer, Base64Bytes value, JsonSerializerOptions options) => writer.WriteBase64StringValue(value.Bytes);

        /// <param name="buffer">The text, and room for its padding behind it.</param>
        /// <param name="length">Its length.</param>
        private static byte[]? Decode(Span<byte> buffer, int length)
        {
            int start = 0;
            if (length >= 5 && Ascii.EqualsIgnoreCase(buffer[..5], "data:"u8))
            {
                int comma = buffer[..length].IndexOf((byte)',');
                if (comma < 12 || !Ascii.EqualsIgnoreCase(buffer[(comma - 7)..comma], ";base64"u8))
                    return null;
                start = comma + 1;
            }
            // base64url (RFC 4648, 5) as base64, without blanks, with the padding that many leave out.
            int end = start;
            for (int i = start; i < length; i++)
            {
                byte c = buffer[i];
                if (c is not ((byte)' ' or (byte)'\t' or (byte)'\r' or (byte)'\n'))
                    buffer[end++] = c switch { (byte)'-' => (byte)'+', (byte)'_' => (byte)'/', _ => c };
            }
            for (; (end - start) % 4 != 0 && end < buffer.Length; end++)
                buffer[end] = (byte)'=';
            Span<byte> text = buffer[start..end];
            return Base64.DecodeFromUtf8InPlace(text, out int written) == OperationStatus.Done ? text[..written].ToArray() : null;
        }
    }
}
